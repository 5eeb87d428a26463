"""The metadata of the package; the settings of tools are in pyproject.toml."""

import ast
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
TEST = [
    "bpython>=0.24",
    "django>=5.2",
    "fastapi>=0.115",
    "flask>=3.1",
    "gunicorn>=23",
    "h11>=0.14",
    "hypothesis>=6.100",
    "ipython>=8.18",
    "msgpack>=1.0.5",
    "pytest>=8.2",
    "pytest-timeout>=2.3",
    "uvicorn>=0.34",
]
DOCS = ["myst-parser>=4", "sphinx>=8"]
FAST_PATH = ["amqp==5.4.2", "kombu==5.7.0"]  # those that rpcnode/amqp/fastpath.py names
DEV = [*FAST_PATH, "mypy>=1.15", "ruff>=0.11", "types-PyYAML", "types-mock"]


def version() -> str:
    """Return the package's version without importing the package."""
    module = ast.parse((ROOT / "rpcnode" / "__init__.py").read_text(encoding="utf-8"))
    values = [
        ast.literal_eval(node.value)
        for node in module.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__version__"
    ]
    return str(values[0])


def description() -> str:
    """Return what the package index shows; empty where the README was not shipped."""
    readme = ROOT / "README.md"
    return readme.read_text(encoding="utf-8") if readme.exists() else ""


setup(
    name="rpcnode",
    version=version(),
    description="A framework for RPC-and-events microservices",
    long_description=description(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.11",
    packages=find_packages(include=["rpcnode", "rpcnode.*"]),
    package_data={"rpcnode": ["py.typed"]},
    zip_safe=False,
    install_requires=[
        "eventlet>=0.40.1",  # earlier ones break os.fork on Python 3.13
        "httptools>=0.6.4",
        "kombu>=5.5",
        "mock>=5.0",
        "pyyaml>=6.0.1",
        "werkzeug>=3.0",
    ],
    extras_require={
        "msgpack": ["msgpack>=1.0.5"],
        "test": TEST,
        "docs": DOCS,
        "dev": [*TEST, *DOCS, *DEV],
    },
    entry_points={
        "console_scripts": ["rpcnode = rpcnode.cli.main:main"],
        "pytest11": ["rpcnode = rpcnode.pytest_plugin"],
    },
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Developers",
        "Operating System :: POSIX",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Programming Language :: Python :: Implementation :: CPython",
        "Topic :: Software Development :: Libraries :: Application Frameworks",
        "Topic :: System :: Distributed Computing",
        "Typing :: Typed",
    ],
)
