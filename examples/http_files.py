"""Files in and out: `rpcnode run examples.http_files --broker memory://`."""

from pathlib import Path

from werkzeug.utils import secure_filename

from rpcnode.extensions import DependencyProvider
from rpcnode.http import File, StaticFiles, http


class Directory(DependencyProvider):
    """Injects the directory that UPLOADS names."""

    def setup(self):
        self.path = Path(self.container.config["UPLOADS"])
        self.path.mkdir(parents=True, exist_ok=True)

    def get_dependency(self, worker_ctx):
        return self.path


class Files:
    name = "files"
    uploads = Directory()
    public = StaticFiles("/static", Path(__file__).parent, max_age=3600)

    @http("POST", "/upload", max_body="1 GB", timeout=600)
    def upload(self, request):
        file = request.files["file"]  # on disk by now, if it is large
        name = secure_filename(file.filename)
        file.save(self.uploads / name)
        return 201, {"Location": f"/files/{name}"}, {"name": name}

    @http("PUT", "/files/<name>", max_body="1 GB", timeout=600)
    def put(self, request, name):
        with (self.uploads / secure_filename(name)).open("wb") as file:
            while chunk := request.stream.read(65_536):
                file.write(chunk)
        return 201, None

    @http("GET", "/files/<name>")
    def download(self, request, name):
        return File(self.uploads / secure_filename(name), name=name)
