"""Services to read and to run; the documentation shows parts of them, and tests run them all."""
