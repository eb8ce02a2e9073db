"""A host with ESP by scapy: answers the pings that come through the tunnel.

Arguments: interface, and a JSON list of pairs of states, each with `own` and `peer` (outer addresses), `spi`, `crypt` and
`auth` (scapy's names, auth may be null), the keys in hex `openKey`, `openAuth`, `sealKey`, `sealAuth`, `icv` (bytes) and
`esn`. Prints "ready", then a line for each packet that it opened.
"""
import json
import sys

from scapy.all import ESP, ICMP, IP, Ether, ICMPv6EchoReply, ICMPv6EchoRequest, IPv6, SecurityAssociation, conf, raw
from scapy.all import sendp, sniff

interface, states = sys.argv[1], json.loads(sys.argv[2])
conf.verb = 0


def family(address):
    return IPv6 if ":" in address else IP


def association(state, key, auth_key, source, destination):
    auth = state["auth"]
    return SecurityAssociation(
        ESP,
        spi=state["spi"],
        crypt_algo=state["crypt"],
        crypt_key=bytes.fromhex(key),
        crypt_icv_size=None if auth else state["icv"],
        auth_algo=auth,
        auth_key=bytes.fromhex(auth_key) if auth else None,
        tunnel_header=family(source)(src=source, dst=destination),
        esn_en=state["esn"],
        esn=0,
    )


pairs = {}
for one in states:
    opener = association(one, one["openKey"], one["openAuth"], one["peer"], one["own"])
    sealer = association(one, one["sealKey"], one["sealAuth"], one["own"], one["peer"])
    pairs[one["peer"], one["spi"]] = (opener, sealer)


def answer(inner):
    if inner.haslayer(ICMPv6EchoRequest):
        echo = inner[ICMPv6EchoRequest]
        return IPv6(src=inner.dst, dst=inner.src) / ICMPv6EchoReply(id=echo.id, seq=echo.seq, data=echo.data)
    if inner.haslayer(ICMP) and inner[ICMP].type == 8:
        echo = inner[ICMP]
        return IP(src=inner.dst, dst=inner.src) / ICMP(type=0, id=echo.id, seq=echo.seq) / raw(echo.payload)
    return None


def handle(frame):
    outer = IPv6 if frame.haslayer(IPv6) else IP
    packet = frame[outer]
    if (packet.src, packet[ESP].spi) not in pairs:
        return
    opener, sealer = pairs[packet.src, packet[ESP].spi]
    inner = opener.decrypt(outer(raw(packet)))
    print("opened", inner.summary(), flush=True)
    reply = answer(inner)
    if reply is not None:
        sealed = sealer.encrypt(reply.__class__(raw(reply)))
        sendp(Ether(src=frame.dst, dst=frame.src) / sealed, iface=interface)


sniff(
    iface=interface,
    filter="ip proto 50 or ip6 proto 50",
    prn=handle,
    store=False,
    started_callback=lambda: print("ready", flush=True),
)
