"""The Pod of packaging/kubernetes, run without Kubernetes: its containers in their order, each with its command, user, groups and
mounts on a read-only root, in one network of their own. Probes are asked as the kubelet asks them. Needs root.

hlsgate's image is made of what its base image has: the C library, certificates, no shell. nginx's is a Debian with nginx.
"""

import concurrent.futures
import contextlib
import ctypes
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request

import yaml

from machine import base, wait_until

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
MANIFESTS = REPOSITORY / "packaging/kubernetes"
VIDEO = "c05f2318"
PR_SET_NO_NEW_PRIVS, PR_CAPBSET_DROP = 38, 24
LIBC = ctypes.CDLL(None, use_errno=True)


@unittest.skipIf(os.geteuid() != 0, "the Pod's containers need root for their mounts")
class InAPod(unittest.TestCase):
    def test_it_starts_protects_follows_its_keys_and_ends_in_order(self):
        """In a process of its own, which has a network and mounts of its own."""
        # Made before, for there is no network in there.
        base("bookworm")
        done = subprocess.run(["unshare", "--net", "--mount", "--propagation", "private", sys.executable, __file__], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=300)
        self.assertEqual(done.returncode, 0, done.stdout)


class Pod:
    """The Deployment's Pod in a folder."""

    def __init__(self, folder):
        self.folder = folder
        documents = [document for path in MANIFESTS.glob("*.yaml") for document in yaml.safe_load_all(path.read_text())]
        self.spec = next(each for each in documents if each["kind"] == "Deployment")["spec"]["template"]["spec"]
        self.generated = {each["name"]: {file: (MANIFESTS / file).read_text() for file in each["files"]}
                          for document in documents if document["kind"] == "Kustomization" for each in document["configMapGenerator"]}
        self.generated |= {each["metadata"]["name"]: each["data"] for each in documents if each["kind"] == "ConfigMap"}
        self.group = self.spec["securityContext"]["fsGroup"]
        self.secrets = {}
        self.processes = {}

    def make_volumes(self):
        for volume in self.spec["volumes"]:
            place = self.folder / "volumes" / volume["name"]
            place.mkdir(parents=True)
            if "emptyDir" in volume or "persistentVolumeClaim" in volume:
                os.chown(place, 0, self.group)
                place.chmod(0o2777)
            elif "configMap" in volume:
                self.publish(place, self.generated[volume["configMap"]["name"]], 0o644)
            elif volume["secret"]["secretName"] in self.secrets:
                self.publish(place, self.secrets[volume["secret"]["secretName"]], volume["secret"]["defaultMode"])

    def publish(self, place, files, mode):
        """As the kubelet does it: a folder by its time, a link `..data` to it that is replaced as a whole, and links to the files through it."""
        stamp = f"..{time.time_ns()}"
        (place / stamp).mkdir()
        for name, text in files.items():
            (place / stamp / name).write_text(text)
            os.chown(place / stamp / name, 0, self.group)
            (place / stamp / name).chmod(mode)
        (place / "..data_tmp").symlink_to(stamp)
        (place / "..data_tmp").rename(place / "..data")
        for name in files:
            with contextlib.suppress(FileExistsError):
                (place / name).symlink_to(f"..data/{name}")

    def root(self, container):
        """A read-only root with the container's mounts."""
        root = self.folder / "roots" / container["name"]
        layers = self.folder / "layers" / container["name"]
        for place in (root, layers / "upper", layers / "work"):
            place.mkdir(parents=True)
        if container["image"] == "hlsgate":
            image = layers / "image"
            image.mkdir()
            daemon = os.environ["HLSGATE"]
            needed = [word for line in subprocess.run(["ldd", daemon], check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
                      for word in line.split() if word.startswith("/")]
            for library in needed:
                # What gcr.io/distroless/cc has, and no more.
                assert pathlib.Path(library).name.split(".so")[0] in ("libc", "libm", "libgcc_s", "ld-linux-x86-64", "ld-linux-aarch64"), library
            for source, target in [(daemon, "/usr/bin/hlsgate"), *((library, library) for library in needed)]:
                (image / target.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, image / target.lstrip("/"))
            (image / "etc/ssl/certs").mkdir(parents=True)
            shutil.copy("/etc/ssl/certs/ca-certificates.crt", image / "etc/ssl/certs/")
        else:
            image = base("bookworm")
            log = layers / "upper/var/log/nginx"
            log.mkdir(parents=True)
            (log / "access.log").symlink_to("/dev/stdout")
            (log / "error.log").symlink_to("/dev/stderr")
        for mount in [*container["volumeMounts"], {"mountPath": "/dev"}, {"mountPath": "/proc"}]:
            (layers / "upper" / mount["mountPath"].lstrip("/")).mkdir(parents=True, exist_ok=True)
        def mount_it(*arguments):
            subprocess.run(["mount", *map(str, arguments)], check=True)
        mount_it("-t", "overlay", "overlay", "-o", f"lowerdir={image},upperdir={layers}/upper,workdir={layers}/work", root)
        mount_it("--rbind", "/dev", root / "dev")
        mount_it("--bind", "/proc", root / "proc")
        for mount in container["volumeMounts"]:
            place = root / mount["mountPath"].lstrip("/")
            mount_it("--bind", self.folder / "volumes" / mount["name"], place)
            if mount.get("readOnly"):
                mount_it("-o", "remount,bind,ro", place)
        mount_it("-o", "remount,ro", root)
        return root

    def start(self, container, arguments=None):
        """Its process, with all rights given up as its security context says."""
        # Both images in use have these entry points.
        command = container.get("command", ["/usr/bin/hlsgate"]) + (arguments or container.get("args", []))
        context = container["securityContext"]
        assert context["capabilities"] == {"drop": ["ALL"]} and not context["allowPrivilegeEscalation"]
        root = self.folder / "roots" / container["name"]
        if not root.exists():
            self.root(container)

        def become():
            os.chroot(root)
            os.chdir("/")
            for capability in range(64):
                LIBC.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
            os.setgroups([self.group])
            os.setgid(context["runAsGroup"])
            os.setuid(context["runAsUser"])
            LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)

        log = (self.folder / f"{container['name']}.log").open("a")
        # As a container's output is: its user may open it anew by /dev/stderr.
        os.fchown(log.fileno(), context["runAsUser"], context["runAsGroup"])
        return subprocess.Popen(command, preexec_fn=become, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE if arguments else log, stderr=log, text=True,
                                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})

    def container(self, name):
        return next(each for each in self.spec["initContainers"] + self.spec["containers"] if each["name"] == name)

    def output(self, name, *arguments):
        """What a command of the container's image prints, with the container's mounts and user."""
        process = self.start(self.container(name), list(arguments))
        text = process.communicate(timeout=60)[0]
        assert process.returncode == 0, (arguments, text)
        return text

    def probe(self, container, name):
        wanted = container[name]["httpGet"]
        port = next(port["containerPort"] for port in container["ports"] if port["name"] == wanted["port"])
        wait_until(lambda: self.processes[container["name"]].poll() is not None or get(f":{port}{wanted['path']}") in range(200, 400),
                   f"{name} of {container['name']}")
        assert self.processes[container["name"]].poll() is None, f"{container['name']} has ended"

    def begin(self):
        for container in self.spec["initContainers"]:
            process = self.processes[container["name"]] = self.start(container)
            if container.get("restartPolicy") == "Always":
                # One without a probe counts as started at once.
                if "startupProbe" in container:
                    self.probe(container, "startupProbe")
            else:
                assert process.wait(60) == 0, f"{container['name']} has failed"
        for container in self.spec["containers"]:
            self.processes[container["name"]] = self.start(container)
        for container in self.spec["initContainers"] + self.spec["containers"]:
            for name in ("readinessProbe", "livenessProbe"):
                if name in container:
                    self.probe(container, name)

    def end(self):
        """Containers first, then sidecars in reverse, as Kubernetes does it. nginx's image has SIGQUIT as its stop signal."""
        for name, stop in (("nginx", signal.SIGQUIT), ("hold", signal.SIGTERM), ("hlsgate", signal.SIGTERM)):
            self.processes[name].send_signal(stop)
            assert self.processes[name].wait(30) == 0, name


def sockets(process):
    """How many it has open."""
    return sum(os.readlink(file).startswith("socket:") for file in pathlib.Path(f"/proc/{process.pid}/fd").iterdir())


def get(path, **headers):
    request = urllib.request.Request(f"http://127.0.0.1{path}", headers={name.replace("_", "-"): value for name, value in headers.items()})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as err:
        return err.code
    except OSError:
        return 0


def main():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="hlsgate-pod-"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", folder], check=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    pod = Pod(folder)
    try:
        # As the document has it: keys made elsewhere become a Secret.
        (folder / "new").mkdir()
        subprocess.run([os.environ["HLSGATE"], "init", "--config", folder / "new/hlsgate.toml"], check=True, stdout=subprocess.DEVNULL)
        keys = (folder / "new/keys.json").read_text()
        pod.secrets["hlsgate-keys"] = {"keys.json": keys}
        pod.make_volumes()
        film = folder / "volumes/films" / VIDEO
        film.mkdir()
        (film / "master.m3u8").write_text("#EXTM3U\n")
        pod.begin()

        config = ("--config", "/etc/hlsgate/config/hlsgate.toml")
        token = pod.output("hlsgate", "token", "issue", *config, "--video", VIDEO, "--jti", "gift-1").strip()
        assert get(f":8080/hls/{VIDEO}/master.m3u8") == 403
        assert get(f":8080/hls/~{token}/{VIDEO}/master.m3u8") == 200
        assert get(f":8080/hls/{VIDEO}/master.m3u8", Cookie=f"hlsgate={token}") == 200
        assert get(f":8080/hlsgate/videos/{VIDEO}") == 200
        socket = (folder / "volumes/socket/hlsgate.sock").stat()
        assert (oct(socket.st_mode & 0o777), socket.st_gid) == ("0o660", pod.group), socket

        # The daemon's container crashes while somebody watches, and is started again.
        wait_until((folder / "volumes/socket/hold.sock").exists, "the holder listens")
        idle = sockets(pod.processes["hold"])
        pod.processes["hlsgate"].kill()
        pod.processes["hlsgate"].wait()
        with concurrent.futures.ThreadPoolExecutor(1) as viewer:
            seen = viewer.submit(get, f":8080/hls/~{token}/{VIDEO}/master.m3u8")
            wait_until(lambda: sockets(pod.processes["hold"]) > idle, "the question is held")
            pod.processes["hlsgate"] = pod.start(pod.container("hlsgate"))
            assert seen.result(30) == 200

        # A key is added to the Secret; the kubelet swaps the link, and the daemon follows.
        subprocess.run([os.environ["HLSGATE"], "keys", "rotate", "--config", folder / "new/hlsgate.toml"], check=True, stdout=subprocess.DEVNULL)
        newer = subprocess.run([os.environ["HLSGATE"], "token", "issue", "--config", folder / "new/hlsgate.toml", "--video", VIDEO], check=True,
                               stdout=subprocess.PIPE, text=True).stdout.strip()
        assert get(f":8080/hls/~{newer}/{VIDEO}/master.m3u8") == 403
        pod.publish(folder / "volumes/keys", {"keys.json": (folder / "new/keys.json").read_text()}, 0o440)
        wait_until(lambda: get(f":8080/hls/~{newer}/{VIDEO}/master.m3u8") == 200, "the daemon follows the Secret")
        assert get(f":8080/hls/~{token}/{VIDEO}/master.m3u8") == 200
        # And the ConfigMap with the revocations.
        pod.publish(folder / "volumes/revoked", {"revoked": "gift-1\n"}, 0o644)
        wait_until(lambda: get(f":8080/hls/~{token}/{VIDEO}/master.m3u8") == 403, "the daemon follows the ConfigMap")
        assert get(f":8080/hls/~{newer}/{VIDEO}/master.m3u8") == 200
        pod.end()
        # Not nginx's errors while the daemon was away: these hold the request line, as docs/nginx.md says.
        lines = [line for name in ("hlsgate", "hold", "nginx") for line in (folder / f"{name}.log").read_text().splitlines()]
        logs = "\n".join(line for line in lines if " [error] " not in line)
        assert token not in logs and newer not in logs and '"listening on' in logs, logs
    except BaseException:
        for log in folder.glob("*.log"):
            print(f"--- {log.name}\n{log.read_text()[-3000:]}")
        raise
    finally:
        for process in pod.processes.values():
            if process.poll() is None:
                process.kill()
                process.wait()
        os.chdir("/")
        # The mounts are this process's own and go with it; the folder below them is empty.
        subprocess.run(["umount", "--recursive", "--lazy", folder], check=False)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
