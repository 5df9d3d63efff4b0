"""From what is imported to what is installed, where the names differ."""

_PACKAGES = {
    "attr": "attrs", "bs4": "beautifulsoup4", "cairo": "pycairo", "Crypto": "pycryptodome", "cv2": "opencv-python-headless",
    "dateutil": "python-dateutil", "discord": "discord.py", "docx": "python-docx", "dotenv": "python-dotenv",
    "fitz": "PyMuPDF", "git": "GitPython", "github": "PyGithub", "googleapiclient": "google-api-python-client", "grpc": "grpcio",
    "google.protobuf": "protobuf",
    "igraph": "python-igraph", "jose": "python-jose", "jwt": "PyJWT", "ldap": "python-ldap", "magic": "python-magic",
    "mpl_toolkits": "matplotlib", "mysql": "mysql-connector-python", "MySQLdb": "mysqlclient", "nacl": "PyNaCl",
    "OpenSSL": "pyOpenSSL", "osgeo": "GDAL", "past": "future", "PIL": "pillow", "pkg_resources": "setuptools", "playhouse": "peewee",
    "pptx": "python-pptx", "psycopg2": "psycopg2-binary", "pylab": "matplotlib", "pythoncom": "pywin32",
    "rest_framework": "djangorestframework",
    "ruamel": "ruamel.yaml", "serial": "pyserial", "skimage": "scikit-image", "sklearn": "scikit-learn", "slugify": "python-slugify",
    "snappy": "python-snappy", "socks": "PySocks", "telegram": "python-telegram-bot", "usb": "pyusb",
    "websocket": "websocket-client", "win32api": "pywin32", "yaml": "PyYAML", "zmq": "pyzmq",
}  # fmt: skip


def package_for(module: str) -> str:
    """What to install so that `import module` works: by the usual ones' names, else its own.

    A module with a dot is missing where the package around it is there: then that is shared, and the whole name is the package's.
    """
    return _PACKAGES.get(module) or _PACKAGES.get(module.partition(".")[0], module)
