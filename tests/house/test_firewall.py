"""Who reaches what, with the shipped firewall in place: real packets between machines of their own."""

import unittest

from machines import wait_until
from place import ADDRESS, ADDRESS6, BTCPAY_PORT, HOME, LND_PORT, NODE, PAYMENT, PAYMENT_TO_NODE, WEB, Place

PORTS = [22, 80, 443, 3306, 5432, BTCPAY_PORT, LND_PORT, 9464, 9735, 10009]
"""What listens on every machine, on all addresses: only the firewall decides."""


class Nftables(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.place = Place()
        cls.addClassCleanup(cls.place.stop)
        cls.place.wireguard()
        for name in ("web", "payment", "node"):
            machine = getattr(cls.place, name)
            machine.answer(PORTS)
            machine.install(f"packaging/nftables/{name}.nft", "/etc/nftables.conf", 0o755)

    def load(self):
        for name in ("web", "payment", "node"):
            getattr(self.place, name).run("/etc/nftables.conf")
        self.place.wake_links()

    def unload(self):
        for name in ("web", "payment", "node"):
            getattr(self.place, name).run("nft", "flush", "ruleset")

    def ports(self, machine, address):
        return {port for _, port in machine.reaches(*((address, port) for port in PORTS))}

    def test_without_it_everything_is_open(self):
        self.unload()
        self.assertEqual(self.ports(self.place.viewer, ADDRESS["node"]), set(PORTS))
        self.assertEqual(self.ports(self.place.viewer, ADDRESS6["node"]), set(PORTS))
        self.assertEqual(self.ports(self.place.web, PAYMENT), set(PORTS))

    def test_who_reaches_what(self):
        self.load()
        place = self.place
        for who, address, ports in [
            (place.viewer, ADDRESS["web"], {22, 80, 443}),
            (place.viewer, ADDRESS["payment"], {22}),
            (place.viewer, ADDRESS["node"], set()),
            (place.viewer, ADDRESS6["web"], {22, 80, 443}),
            (place.viewer, ADDRESS6["payment"], {22}),
            (place.viewer, ADDRESS6["node"], set()),
            (place.viewer, HOME["node"], {22}),
            (place.web, ADDRESS["payment"], {22}),
            (place.web, ADDRESS["node"], set()),
            (place.web, PAYMENT, {BTCPAY_PORT}),
            (place.web, NODE, set()),
            (place.payment, ADDRESS["web"], {22, 80, 443}),
            (place.payment, WEB, set()),
            (place.payment, NODE, {LND_PORT}),
            (place.node, ADDRESS["web"], {22, 80, 443}),
            (place.node, PAYMENT_TO_NODE, set()),
        ]:
            with self.subTest(f"{who.name} to {address}"):
                self.assertEqual(self.ports(who, address), ports)

    def test_the_web_machine_cannot_go_through_the_payment_machine(self):
        self.load()
        self.place.payment.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        self.place.web.run("ip", "route", "replace", f"{NODE}/32", "via", ADDRESS["payment"])
        self.addCleanup(self.place.web.run, "ip", "route", "delete", f"{NODE}/32")
        self.assertEqual(self.ports(self.place.web, NODE), set())

    def test_it_can_be_loaded_twice_and_leaves_others_alone(self):
        self.load()
        self.place.web.run("nft", "add", "table", "inet", "f2b-table")
        self.load()
        tables = self.place.web.run("nft", "list", "tables").stdout
        self.assertEqual(sorted(tables.split("\n"))[1:], ["table inet f2b-table", "table inet hlsgate"])

    def test_a_published_container_is_not_open_to_strangers(self):
        """Docker's way: the host rewrites the address, and what comes in is forwarded, past the chain `input`."""
        payment, viewer = self.place.payment, self.place.viewer
        payment.run("sh", "-ec", """
            ip netns add box
            ip link add br-box type bridge && ip address add 172.18.0.1/16 dev br-box && ip link set br-box up
            ip link add box0 type veth peer name eth0 netns box
            ip link set box0 master br-box up
            ip -n box address add 172.18.0.2/16 dev eth0 && ip -n box link set eth0 up && ip -n box route add default via 172.18.0.1
            sysctl -qw net.ipv4.ip_forward=1""")
        payment.spawn("ip", "netns", "exec", "box", "python3", "-m", "http.server", "49392", "--bind", "172.18.0.2")
        payment.run("nft", "-f", "-", input=f"""
            table ip docker-stand-in {{
              chain prerouting {{
                type nat hook prerouting priority dstnat
                ip daddr {{ {PAYMENT}, {ADDRESS['payment']} }} tcp dport {{ {BTCPAY_PORT}, 5432 }} dnat to 172.18.0.2:49392
              }}
            }}""")
        self.addCleanup(payment.run, "nft", "delete", "table", "ip", "docker-stand-in")
        payment.run("nft", "delete", "table", "inet", "hlsgate", check=False)
        wait_until(lambda: self.ports(viewer, ADDRESS["payment"]) >= {BTCPAY_PORT, 5432}, "the published ports answer")
        self.load()
        self.assertEqual(self.ports(viewer, ADDRESS["payment"]), {22})
        self.assertEqual(self.ports(self.place.web, PAYMENT), {BTCPAY_PORT})
        reach = "import socket,sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 1)"
        from_box = lambda address, port: payment.run(
            "ip", "netns", "exec", "box", "python3", "-c", reach, address, port, check=False).returncode == 0
        # Its packets leave under the payment machine's address, as Docker's masquerading makes them.
        payment.run("nft", "add", "table", "ip", "masquerade-stand-in")
        payment.run("nft", "add", "chain", "ip", "masquerade-stand-in", "out", "{ type nat hook postrouting priority srcnat ; }")
        payment.run("nft", "add", "rule", "ip", "masquerade-stand-in", "out", "ip", "saddr", "172.18.0.0/16", "masquerade")
        self.assertTrue(from_box(NODE, LND_PORT), "BTCPay Server in a container asks LND")
        self.assertFalse(from_box(NODE, 22), "and nothing else there")
        self.assertTrue(from_box(ADDRESS["web"], 443), "it delivers webhooks")
        self.assertFalse(from_box(WEB, 443), "but not through the tunnel")


class Ufw(unittest.TestCase):
    def test_who_reaches_what(self):
        place = Place()
        self.addCleanup(place.stop)
        place.wireguard()
        for machine in (place.web, place.payment):
            machine.answer(PORTS)
            machine.install("packaging/ufw/hlsgate", "/etc/ufw/applications.d/hlsgate")
            machine.run("ufw", "default", "deny", "incoming")
            machine.run("ufw", "limit", "22/tcp")
        place.web.run("ufw", "allow", "hlsgate")
        place.web.run("ufw", "allow", "hlsgate-tunnel")
        place.payment.run("ufw", "allow", "hlsgate-tunnel")
        place.payment.run("ufw", "allow", "in", "on", "wg-pay", "from", WEB, "to", "any", "app", "hlsgate-btcpay")
        for machine in (place.web, place.payment):
            machine.run("ufw", "--force", "enable")
        place.wake_links()
        for who, address, ports in [
            (place.viewer, ADDRESS["web"], {22, 80, 443}),
            (place.viewer, ADDRESS["payment"], {22}),
            (place.web, PAYMENT, {22, BTCPAY_PORT}),
            (place.node, ADDRESS["payment"], {22}),
        ]:
            with self.subTest(f"{who.name} to {address}"):
                reached = who.reaches(*((address, port) for port in PORTS))
                self.assertEqual({port for _, port in reached}, ports)


if __name__ == "__main__":
    unittest.main()
