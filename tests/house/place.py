"""The three machines of the house and a stranger, cabled: web, payment, node, viewer. Addresses as in the shipped files."""

from machines import Machine, Network, wait_until

ADDRESS = {"web": "203.0.113.1", "payment": "203.0.113.2", "node": "203.0.113.3", "viewer": "203.0.113.66"}
"""On the public network (documentation addresses, RFC 5737 and 3849)."""
ADDRESS6 = {"web": "2001:db8::1", "payment": "2001:db8::2", "node": "2001:db8::3", "viewer": "2001:db8::66"}
WEB, PAYMENT, PAYMENT_TO_NODE, NODE = "10.77.1.1", "10.77.1.2", "10.77.2.1", "10.77.2.2"
"""In the tunnels."""
HOME = {"node": "192.168.7.3", "viewer": "192.168.7.66"}
"""In the network at home; the viewer stands for whoever is a guest there."""
BTCPAY_PORT, LND_PORT = 23000, 8080


class Place:
    """`place.web`, `place.payment`, `place.node`, `place.viewer`, and `place.network` between them."""

    def __init__(self):
        self._machines = []
        try:
            self.network = Network()
            self._machines.append(self.network.switch)
            for name, address in ADDRESS.items():
                machine = Machine(name)
                self._machines.append(machine)
                setattr(self, name, machine)
                self.network.plug(machine, f"{address}/24", f"{ADDRESS6[name]}/64", *([f"{HOME[name]}/24"] if name in HOME else []))
                machine.run("sh", "-c", f"echo '{ADDRESS['web']} video.example\n{ADDRESS['payment']} btcpay.example' >> /etc/hosts")
        except BaseException:
            self.stop()
            raise

    def stop(self):
        for machine in self._machines:
            machine.stop()

    def wireguard(self):
        """Both links, set up as docs/tunnel.md says: wg-pay between web and payment, wg-ln between payment and node."""
        for link, (called, caller) in {"wg-pay": (self.web, self.payment), "wg-ln": (self.payment, self.node)}.items():
            public = {}
            for machine in (called, caller):
                machine.run("sh", "-c", "mkdir -p -m 700 /etc/wireguard && umask 077 && wg genkey > /etc/wireguard/$1.key", "sh", link)
                public[machine.name] = machine.run("sh", "-c", "wg pubkey < /etc/wireguard/$1.key", "sh", link).stdout.strip()
            for machine in (called, caller):
                path = f"/etc/wireguard/{link}.conf"
                machine.install(f"packaging/tunnel/wireguard/{link}.{machine.name}.conf", path, 0o600)
                for name, key in public.items():
                    machine.run("sed", "-i", f"s|{name.upper()}_PUBLIC_KEY|{key}|", path)
                machine.run("wg-quick", "up", link)
        wait_until(lambda: handshake(self.payment, "wg-pay") and handshake(self.node, "wg-ln"), "both WireGuard links shake hands")

    def wake_links(self):
        """Waits until the callers got through. A firewall that was loaded just now knows the link again once they call."""
        for caller, far in ((self.payment, WEB), (self.node, PAYMENT_TO_NODE)):
            wait_until(lambda: caller.run("ping", "-c1", "-W1", far, check=False).returncode == 0, f"{caller.name} reaches {far}")


def handshake(machine, link):
    """UNIX seconds of the last handshake on `link`, 0 if there was none."""
    return int(machine.run("wg", "show", link, "latest-handshakes").stdout.split()[-1])
