"""What other tools have to be content with: promtool, the schemas of the Kubernetes API, hadolint, rpm, systemd's own checks."""

import fnmatch
import glob
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import tomllib
import unittest

import yaml

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
PACKAGING = REPOSITORY / "packaging"
MANIFESTS = PACKAGING / "kubernetes"
#: The oldest version that docs/operations.md names, and the newest that the schemas know.
KUBERNETES = ("1.30", "1.37")


def run(*command, **options):
    return subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)


class Alerts(unittest.TestCase):
    def test_the_rules_are_well_formed(self):
        done = run("promtool", "check", "rules", PACKAGING / "prometheus/alerts.yml")
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_each_alert_is_raised_by_what_it_is_for_and_only_then(self):
        done = run("promtool", "test", "rules", PACKAGING / "prometheus/alerts_test.yml")
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_no_alert_goes_untried(self):
        rules = yaml.safe_load((PACKAGING / "prometheus/alerts.yml").read_text())["groups"]
        tried = (PACKAGING / "prometheus/alerts_test.yml").read_text()
        for rule in (rule for group in rules for rule in group["rules"]):
            self.assertIn(f'alertname="{rule["alert"]}"', tried)

    def test_a_wrong_rule_is_noticed(self):
        with tempfile.TemporaryDirectory() as folder:
            for name in ("alerts.yml", "alerts_test.yml"):
                text = (PACKAGING / "prometheus" / name).read_text()
                pathlib.Path(folder, name).write_text(text.replace('expr: up{job="hlsgate"} == 0', 'expr: up{job="hlsgate"} == 1'))
            self.assertNotEqual(run("promtool", "test", "rules", pathlib.Path(folder, "alerts_test.yml")).returncode, 0)


class Dashboard(unittest.TestCase):
    def test_promtool_reads_every_query(self):
        dashboard = json.loads((PACKAGING / "grafana/hlsgate.json").read_text())
        queries = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
        self.assertGreater(len(queries), 5)
        rules = [{"record": f"query:{number}", "expr": query.replace("$__rate_interval", "5m").replace("$__range", "1d")} for number, query in enumerate(queries)]
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, "queries.yml")
            file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
            done = run("promtool", "check", "rules", file)
        self.assertEqual(done.returncode, 0, done.stdout)


class Units(unittest.TestCase):
    def test_the_sandbox_is_rated_well_without_booting(self):
        done = run("systemd-analyze", "security", "--offline=true", "--threshold=15", PACKAGING / "systemd/hlsgate.service")
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_every_secret_is_handed_over_or_has_a_reason(self):
        """The files with secrets that the commented configuration names."""
        unit = (PACKAGING / "systemd/hlsgate.service").read_text()
        for line in (REPOSITORY / "src/cli/hlsgate.toml").read_text().splitlines():
            name, _, value = line.lstrip("#").partition(" = ")
            if name in ("api_key_file", "webhook_secret_file"):
                self.assertIn(f"\nLoadCredential={value.strip(chr(34))}:/etc/hlsgate/{value.strip(chr(34))}\n", unit)


class Kubernetes(unittest.TestCase):
    def check(self, file, version):
        return run("kubernetes-validate", "--strict", "-k", version, file)

    def test_the_manifests_are_what_the_api_takes(self):
        for name in yaml.safe_load((MANIFESTS / "kustomization.yaml").read_text())["resources"]:
            for version in KUBERNETES:
                with self.subTest(name, version=version):
                    done = self.check(MANIFESTS / name, version)
                    self.assertEqual(done.returncode, 0, done.stdout)
                    self.assertIn("passed for resource", done.stdout)

    def test_a_wrong_field_is_noticed(self):
        text = (MANIFESTS / "deployment.yaml").read_text()
        for right, wrong in (("readOnlyRootFilesystem:", "readOnlyRootFileSystem:"), ("containerPort: 9464", "containerPort: metrics"),
                             ("restartPolicy: Always", "restartPolicies: Always")):
            with self.subTest(wrong), tempfile.TemporaryDirectory() as folder:
                self.assertIn(right, text)
                file = pathlib.Path(folder, "deployment.yaml")
                file.write_text(text.replace(right, wrong))
                self.assertNotEqual(self.check(file, KUBERNETES[0]).returncode, 0)

    def test_the_kustomization_names_what_is_there_and_leaves_nothing_out(self):
        kustomization = yaml.safe_load((MANIFESTS / "kustomization.yaml").read_text())
        self.assertEqual(set(kustomization), {"apiVersion", "kind", "namespace", "resources", "images", "configMapGenerator"})
        named = ["kustomization.yaml", *kustomization["resources"], *(file for each in kustomization["configMapGenerator"] for file in each["files"])]
        self.assertEqual(sorted(named), sorted(path.name for path in MANIFESTS.iterdir()))

    def test_what_refers_to_each_other_does(self):
        documents = [document for path in MANIFESTS.glob("*.yaml") for document in yaml.safe_load_all(path.read_text())]
        by_kind = {document["kind"]: document for document in documents}
        pod = by_kind["Deployment"]["spec"]["template"]
        labels, spec = pod["metadata"]["labels"], pod["spec"]
        for selector in (by_kind["Deployment"]["spec"]["selector"]["matchLabels"], by_kind["Service"]["spec"]["selector"],
                         by_kind["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"], by_kind["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
                         spec["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"]):
            self.assertEqual(selector, labels)
        scaler = by_kind["HorizontalPodAutoscaler"]["spec"]
        self.assertEqual(scaler["scaleTargetRef"]["name"], by_kind["Deployment"]["metadata"]["name"])
        containers = spec["initContainers"] + spec["containers"]
        self.assertIn(scaler["metrics"][0]["containerResource"]["container"], [container["name"] for container in containers])
        ports = {port["name"] for container in containers for port in container.get("ports", [])}
        asked = [port["targetPort"] for port in by_kind["Service"]["spec"]["ports"]]
        asked += [port["port"] for rule in by_kind["NetworkPolicy"]["spec"]["ingress"] for port in rule["ports"]]
        asked += [container[probe]["httpGet"]["port"] for container in containers for probe in container if probe.endswith("Probe")]
        self.assertLessEqual(set(asked), ports)
        generated = {each["name"] for each in by_kind["Kustomization"]["configMapGenerator"]} | {by_kind["ConfigMap"]["metadata"]["name"]}
        self.assertEqual({volume["configMap"]["name"] for volume in spec["volumes"] if "configMap" in volume}, generated)
        volumes = {volume["name"] for volume in spec["volumes"]}
        self.assertEqual({mount["name"] for container in containers for mount in container["volumeMounts"]}, volumes)

    def test_every_container_is_without_rights(self):
        """As the `restricted` Pod security standard asks, and a read-only root besides."""
        for document in yaml.safe_load_all((MANIFESTS / "deployment.yaml").read_text()):
            if document["kind"] != "Deployment":
                continue
            spec = document["spec"]["template"]["spec"]
            self.assertFalse(spec["automountServiceAccountToken"])
            self.assertTrue(spec["securityContext"]["runAsNonRoot"])
            self.assertEqual(spec["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
            self.assertFalse({"hostNetwork", "hostPID", "hostIPC"} & set(spec))
            for container in spec["initContainers"] + spec["containers"]:
                context = container["securityContext"]
                self.assertEqual((context["allowPrivilegeEscalation"], context["readOnlyRootFilesystem"], context["capabilities"]),
                                 (False, True, {"drop": ["ALL"]}), container["name"])
                self.assertGreater(context["runAsUser"], 0)
                self.assertIn("memory", container["resources"]["limits"])
            self.assertFalse([volume for volume in spec["volumes"] if "hostPath" in volume])

    def test_the_versions_agree(self):
        kustomization = yaml.safe_load((MANIFESTS / "kustomization.yaml").read_text())
        self.assertEqual(kustomization["images"][0]["newTag"], version())


def version():
    return tomllib.loads((REPOSITORY / "Cargo.toml").read_text())["package"]["version"]


class Installed(unittest.TestCase):
    """What packaging/install puts into the packages."""

    #: For whoever builds or changes hlsgate: these are in the repository alone.
    REPOSITORY_ALONE = ("packaging/Dockerfile", "packaging/apt-repo", "packaging/build-deb", "packaging/debian", "packaging/install", "packaging/rpm",
                        "examples/btcpay-double", "examples/demo")

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.root = pathlib.Path(folder.name)
        done = run(PACKAGING / "install", "--root", cls.root, "--binary", os.environ["HLSGATE"], "daemon", "site", "publish")
        assert done.returncode == 0, done.stdout

    def test_every_file_that_the_handbook_names_is_there(self):
        tree = self.root / "usr/share/hlsgate"
        missing = set()
        for page in [*tree.glob("*.md"), *(tree / "docs").glob("*.md")]:
            text = page.read_text()
            named = set(re.findall(r"(?<![\w/.-])((?:packaging|examples)/[\w@./*-]*[\w@/*])", text))
            missing |= {f"{page.name}: {name}" for name in named
                        if not name.startswith(self.REPOSITORY_ALONE) and not glob.glob(str(tree / name.rstrip("/.")))}
            missing |= {f"{page.name}: link to {link}" for link in re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", text)
                        if not (page.parent / link).exists() and not link.startswith(("LICENSE", "../LICENSE"))}
        self.assertEqual(sorted(missing), [])

    def test_nothing_of_nginx_is_left_out(self):
        shipped = {path.relative_to(REPOSITORY / "nginx") for path in (REPOSITORY / "nginx").rglob("*.conf")}
        self.assertEqual({path.relative_to(self.root / "etc/nginx") for path in (self.root / "etc/nginx").rglob("*") if path.is_file()}, shipped)

    def test_what_an_administrator_changed_stays(self):
        changed = self.root / "etc/nginx/snippets/hlsgate.conf"
        before = changed.read_text()
        changed.write_text("# mine\n")
        self.addCleanup(changed.write_text, before)
        self.assertEqual(run(PACKAGING / "install", "--root", self.root, "--binary", os.environ["HLSGATE"], "daemon").returncode, 0)
        self.assertEqual(changed.read_text(), "# mine\n")

    def test_links_lead_somewhere_and_nothing_was_made_in_passing(self):
        wrong = [str(path) for path in self.root.rglob("*") if path.is_symlink() and not path.exists() or path.name in ("node_modules", "__pycache__")]
        self.assertEqual(wrong, [])
        self.assertTrue(os.access(self.root / "usr/bin/hlsgate-publish", os.X_OK))


class Compose(unittest.TestCase):
    """packaging/compose: the web machine in containers."""

    FOLDER = PACKAGING / "compose"

    def setUp(self):
        self.file = yaml.safe_load((self.FOLDER / "compose.yaml").read_text())

    def test_compose_reads_it(self):
        done = run("docker-compose", "--file", self.FOLDER / "compose.yaml", "config", "--quiet")
        self.assertEqual((done.returncode, done.stdout), (0, ""))

    def test_a_bad_line_is_noticed(self):
        text = (self.FOLDER / "compose.yaml").read_text().replace("group_add:", "groups_add:")
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write(text)
            file.flush()
            self.assertNotEqual(run("docker-compose", "--file", file.name, "config", "--quiet").returncode, 0)

    def test_what_it_mounts_of_the_repository_is_there(self):
        for name, service in self.file["services"].items():
            for source in (volume.split(":")[0] for volume in service["volumes"]):
                if source.startswith("."):
                    self.assertTrue((self.FOLDER / source).exists(), f"{name}: {source}")
                else:
                    self.assertIn(source, self.file["volumes"], name)
            if "build" in service:
                self.assertTrue((self.FOLDER / service["build"]["context"] / service["build"]["dockerfile"]).is_file(), name)

    def test_no_container_has_rights_and_no_port_is_open_to_strangers(self):
        for name, service in self.file["services"].items():
            self.assertEqual((service["read_only"], service["cap_drop"]), (True, ["ALL"]), name)
            self.assertNotIn("privileged", service, name)
            for port in service.get("ports", []):
                self.assertTrue(port.startswith("127.0.0.1:"), name)

    def test_nginx_takes_the_files_and_the_gate_shuts(self):
        """The site's file with what `hlsgate nginx` prints for the configuration, in the machine's nginx."""
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            for command in (["init"], ["nginx", "--write", folder / "hlsgate"]):
                (folder / "hlsgate.toml").write_text((self.FOLDER / "hlsgate.toml").read_text().replace("/etc/hlsgate/", f"{folder}/"))
                done = run(os.environ["HLSGATE"], *command, "--config", folder / "hlsgate.toml")
                self.assertEqual(done.returncode, 0, done.stdout)
            site = (self.FOLDER / "site.conf").read_text().replace("/etc/nginx/hlsgate", f"{folder}/hlsgate").replace("/srv/site", str(REPOSITORY / "examples/site"))
            (folder / "site.conf").write_text(site)
            text = (MANIFESTS / "nginx.conf").read_text()
            here = {"/etc/nginx/hlsgate/": f"{folder}/hlsgate/", "/etc/nginx/site/": f"{folder}/", "/tmp/": f"{folder}/"}
            (folder / "nginx.conf").write_text(re.sub("|".join(here), lambda found: here[found[0]], text))
            for file in (folder / "hlsgate").rglob("*.conf"):
                file.write_text(file.read_text().replace("/run/hlsgate-nginx-cache", f"{folder}/cache"))
            done = run("nginx", "-t", "-c", folder / "nginx.conf", "-p", folder)
            self.assertEqual(done.returncode, 0, done.stdout)
            dump = run("nginx", "-T", "-q", "-c", folder / "nginx.conf", "-p", folder).stdout
            done = run(os.environ["HLSGATE"], "check", "--only", "nginx", "--nginx-config", "-", "--config", folder / "hlsgate.toml", input=dump)
            self.assertEqual([line for line in done.stdout.splitlines() if line.startswith("  ✗")], [], done.stdout)


class Dockerfile(unittest.TestCase):
    def test_hadolint_is_content(self):
        for file in (PACKAGING / "Dockerfile", PACKAGING / "compose/publish.Dockerfile"):
            done = run("hadolint", file)
            self.assertEqual((done.returncode, done.stdout), (0, ""), file.name)

    def test_a_bad_line_is_noticed(self):
        done = run("hadolint", "-", input=(PACKAGING / "Dockerfile").read_text().replace("USER 65532:65532", "USER root"))
        self.assertIn("DL3002", done.stdout)

    def test_the_build_sees_what_it_needs_and_no_secret(self):
        """Cargo reads the manifest with what .dockerignore lets through, and a stray key is not among it."""
        with tempfile.TemporaryDirectory() as folder:
            shown = [line[1:] for line in (PACKAGING / "Dockerfile.dockerignore").read_text().splitlines() if line.startswith("!")]
            for name in shown:
                source, target = REPOSITORY / name, pathlib.Path(folder, name)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
            done = run("cargo", "metadata", "--locked", "--offline", "--no-deps", "--format-version", "1", cwd=folder)
            self.assertEqual(done.returncode, 0, done.stdout)
            # Every file that the sources include is there as well.
            for source in pathlib.Path(folder, "src").rglob("*.rs"):
                text = source.read_text().split("#[cfg(test)]")[0]
                for part in text.split('include_str!("')[1:]:
                    self.assertTrue((source.parent / part.split('"')[0]).exists(), f"{source}: {part.split(chr(34))[0]}")
        for secret in ("keys.json", "etc/keys.json", "btcpay-api-key", "target/release/hlsgate", ".git/config"):
            self.assertFalse(any(fnmatch.fnmatch(secret, name) or secret.startswith(f"{name}/") for name in shown), secret)


class Rpm(unittest.TestCase):
    SPEC = PACKAGING / "rpm/hlsgate.spec"

    def test_the_recipe_is_well_formed(self):
        done = run("rpmspec", "-P", *MACROS, self.SPEC)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn(f"Version:        {version()}", done.stdout)
        linted = run("rpmlint", self.SPEC)
        said = [line.split(": ", 1)[1] for line in linted.stdout.splitlines() if line.startswith("hlsgate.spec:")]
        # Both are of other times: rpm makes the build root itself, and the source is made from a clone.
        self.assertEqual(said, ["W: no-buildroot-tag", f"W: invalid-url Source0: hlsgate-{version()}.tar.gz"])

    def test_it_builds_a_package_with_everything_in_its_place(self):
        """Built by rpmbuild from what cargo has made already: a debug build stands for the release."""
        with tempfile.TemporaryDirectory() as folder:
            tree = pathlib.Path(folder, "tree")
            tree.mkdir()
            files = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=REPOSITORY).stdout.split("\0")
            for name in filter(None, files):
                (tree / name).parent.mkdir(parents=True, exist_ok=True)
                if (REPOSITORY / name).exists():
                    shutil.copy(REPOSITORY / name, tree / name, follow_symlinks=False)
            # In cargo's place: the daemon that is there.
            cargo = pathlib.Path(folder, "bin/cargo")
            cargo.parent.mkdir()
            cargo.write_text(f"""#!/bin/sh
                install -D {os.environ["HLSGATE"]} target/release/hlsgate""")
            cargo.chmod(0o755)
            done = run("rpmbuild", "-bb", "--build-in-place", "--nodeps", "--define", f"_topdir {folder}/rpmbuild", *MACROS, tree / "packaging/rpm/hlsgate.spec",
                       cwd=tree, env={**os.environ, "PATH": f"{cargo.parent}:{os.environ['PATH']}"})
            self.assertEqual(done.returncode, 0, done.stdout[-3000:])
            package = next(pathlib.Path(folder, "rpmbuild/RPMS").rglob("*.rpm"))
            root = pathlib.Path(folder, "root")
            root.mkdir()
            run("sh", "-c", f"rpm2cpio {package} | (cd {root} && cpio -idm --quiet)")
            for name in ("usr/bin/hlsgate", "usr/share/man/man1/hlsgate-check.1.gz", "etc/nginx/snippets/hlsgate-protect.conf", "etc/nginx/conf.d/hlsgate.conf",
                         "usr/lib/systemd/system/hlsgate.service", "usr/lib/sysusers.d/hlsgate.conf", "usr/lib/tmpfiles.d/hlsgate.conf"):
                self.assertTrue((root / name).exists() or (root / name.removesuffix(".gz")).exists(), f"{name} is not in {run('rpm', '-qlp', package).stdout}")
            self.assertIn("SocketGroup=nginx\n", (root / "usr/lib/systemd/system/hlsgate.socket").read_text())
            kept = run("rpm", "-qp", "--configfiles", package).stdout.split()
            self.assertEqual(len(kept), len(list((REPOSITORY / "nginx").rglob("*.conf"))))
            scripts = run("rpm", "-qp", "--scripts", package).stdout
            self.assertNotIn("rm ", scripts)
            self.assertNotIn("%", scripts.replace("%{", ""), "a macro was not expanded")


#: What systemd-rpm-macros defines on Fedora, where Debian's rpm has no such package.
MACROS = [part for name, value in {
    "_unitdir": "/usr/lib/systemd/system", "_sysusersdir": "/usr/lib/sysusers.d", "_tmpfilesdir": "/usr/lib/tmpfiles.d",
    "tmpfiles_create()": "systemd-tmpfiles --create", "systemd_post()": "systemctl --no-reload preset", "systemd_preun()": "systemctl --no-reload disable --now",
    "systemd_postun_with_restart()": "systemctl try-restart", "sysusers_create_compat()": "systemd-sysusers",
}.items() for part in ("--define", f"{name} {value}")]


if __name__ == "__main__":
    unittest.main()
