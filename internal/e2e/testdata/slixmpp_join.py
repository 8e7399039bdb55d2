"""Logs in with a token, as PLAIN's password or by OAUTHBEARER, over STARTTLS, and tries rooms. Reads its orders as JSON
on stdin and writes what the library saw, one JSON object a line."""
import asyncio
import json
import sys

import slixmpp
from slixmpp.exceptions import PresenceError
from slixmpp.util.sasl.client import Mech, sasl_mech


@sasl_mech(50)
class OAUTHBEARER(Mech):
    """RFC 7628, which the library leaves to its users."""

    name = "OAUTHBEARER"
    required_credentials = {"username", "password", "host"}

    def process(self, challenge=b""):
        if challenge:
            return b"\x01"
        who = self.credentials["username"] + b"@" + self.credentials["host"]
        return b"n,a=" + who + b",\x01auth=Bearer " + self.credentials["password"] + b"\x01\x01"


class Client(slixmpp.ClientXMPP):
    def __init__(self, orders):
        super().__init__("anybody@" + orders["domain"], orders["token"], sasl_mech=orders.get("mechanism", "PLAIN"))
        self.orders = orders
        self.ca_certs = orders["ca"]
        self.use_aiodns = self.use_ipv6 = False  # the address is given: no name server has to be there
        self.register_plugin("xep_0045")
        self.add_event_handler("session_start", self.start)
        self.add_event_handler("failed_auth", self.refused)

    def say(self, **what):
        print(json.dumps(what), flush=True)

    def refused(self, failure):
        self.say(login="refused", condition=failure["condition"], text=failure["text"])
        self.disconnect()

    async def start(self, _):
        self.say(login="done")
        for room in self.orders["rooms"]:
            try:
                await self.plugin["xep_0045"].join_muc_wait(slixmpp.JID(room), "slix", timeout=10)
                self.say(room=room, joined=True)
            except PresenceError as e:
                self.say(room=room, joined=False, condition=e.condition, text=e.text)
        self.disconnect()


orders = json.load(sys.stdin)
client = Client(orders)
client.connect(address=("127.0.0.1", orders["port"]))
client.loop.run_until_complete(asyncio.wait_for(client.disconnected, 20))
