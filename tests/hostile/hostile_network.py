"""The network: none for a model, whether the container has one or not."""

from hostile_case import add, model

SOCKETS = """
    kinds = {"tcp": (2, 1, 0), "udp": (2, 2, 0), "tcp6": (10, 1, 0), "udp6": (10, 2, 0),
             "raw": (2, 3, 1), "raw6": (10, 3, 58), "netlink": (16, 3, 0), "packet": (17, 3, 0),
             "vsock": (40, 1, 0), "bluetooth": (31, 3, 1), "algorithm": (38, 5, 0),
             "mptcp": (2, 1, 262), "sctp": (2, 1, 132), "x25": (9, 5, 0), "can": (29, 3, 1)}
    for name, kind in kinds.items():
        attack(name, lambda: socket.socket(*kind))
    attack("pair", lambda: socket.socketpair(socket.AF_INET))
    attack("connect", lambda: socket.create_connection(("127.0.0.1", 9), 1))
    attack("listen", lambda: socket.create_server(("0.0.0.0", 0)))
    attack("name", lambda: socket.gethostbyname("example.org"))
    """
add("sockets", "opens sockets of every kind", {"model.py": model(load=SOCKETS)}, logs=["tcp"])
add(
    "sockets-online",
    "the same where the container has a network",
    {"model.py": model(load=SOCKETS)},
    network=True,
    engines=("docker",),
    logs=["tcp"],
)
FETCH = """
    import http.client, subprocess, urllib.request
    attack("http", lambda: urllib.request.urlopen("http://127.0.0.1:9/", timeout=1).read())
    attack("https", lambda: http.client.HTTPSConnection("1.1.1.1", timeout=1).request("GET", "/"))
    attack("other program", lambda: subprocess.run([sys.executable, "-c",
        "import socket; socket.socket()"], stderr=-3).returncode == 0)
    import ctypes.util
    attack("system call", lambda: call(41, 2, 1, 0) + 1)
    attack("x32", lambda: call(0x40000000 + 41, 2, 1, 0) + 1)
    attack("io_uring", lambda: call(425, 8, (ctypes.c_uint * 64)()) + 1)
    """
add(
    "fetches",
    "fetches over HTTP, by another program, by bare system calls",
    {"model.py": model(load=FETCH)},
    network=True,
    logs=["http"],
)
add(
    "service-sockets",
    "speaks to services of the machine over their sockets",
    {
        "model.py": model(
            load="""
    for path in ("/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock",
                 "/run/systemd/private", "/run/dbus/system_bus_socket", "/run/nscd/socket"):
        def connect():
            side = socket.socket(socket.AF_UNIX)
            side.connect(path)
            return path
        attack("socket " + path, connect)
    def abstract():
        side = socket.socket(socket.AF_UNIX)
        side.connect("\\0/tmp/.X11-unix/X0")
        return True
    attack("abstract", abstract)
    """
        )
    },
    logs=["abstract"],
)
