/** The configuration protocol's requests, applied to a tunnel and answered from it. */
import type { Cidr } from '../proto/ip/cidr.ts';
import type { Peer } from '../proto/wireguard/device.ts';
import { type SetDevice, type SetPeer, UapiError } from '../proto/wireguard/uapi.ts';
import type { DeviceStatus, PeerStatus } from '../proto/wireguard/uapistatus.ts';
import { withNumberedScope } from './scope.ts';
import type { Tunnel } from './tunnel.ts';

/** What can fail goes first: a UapiError means that nothing was changed. */
export function configure(tunnel: Tunnel, request: SetDevice): void {
  for (const { endpoint } of request.peers) {
    if (endpoint && !tunnel.canReach(endpoint)) {
      throw new UapiError(
        'EINVAL',
        `there is no interface with the scope of the endpoint ${endpoint.address}`,
      );
    }
  }
  if (request.listenPort !== undefined) listen(tunnel, request.listenPort);
  if (request.fwmark !== undefined) tunnel.setMark(request.fwmark);
  if (request.privateKey !== undefined) {
    tunnel.change((device, now) => device.setPrivateKey(request.privateKey ?? undefined, now));
  }
  if (request.replacePeers) {
    for (const { publicKey } of [...tunnel.device.peers.values()]) {
      tunnel.change(device => device.removePeer(publicKey));
    }
  }
  for (const peer of request.peers) configurePeer(tunnel, peer);
}

export function statusOf(tunnel: Tunnel): DeviceStatus {
  const { privateKey } = tunnel.device;
  return {
    ...(privateKey && { privateKey }),
    listenPort: tunnel.listenPort,
    fwmark: tunnel.mark,
    peers: [...tunnel.device.peers.values()].map(peer => peerStatusOf(tunnel, peer)),
  };
}

function listen(tunnel: Tunnel, port: number): void {
  try {
    tunnel.setListenPort(port);
  } catch (error) {
    const isTaken = error instanceof Error && 'code' in error && error.code === 'EADDRINUSE';
    throw new UapiError(
      isTaken ? 'EADDRINUSE' : 'EIO',
      isTaken
        ? `UDP port ${port} is taken by another program: stop that one, or choose another listen port`
        : `UDP port ${port} cannot be used: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

function configurePeer(tunnel: Tunnel, wanted: SetPeer): void {
  const { publicKey } = wanted;
  if (wanted.remove) {
    tunnel.change(device => device.removePeer(publicKey));
    return;
  }
  if (wanted.updateOnly && !tunnel.device.peer(publicKey)) return;
  const peer = tunnel.change(device => device.upsertPeer(publicKey));
  if (!peer) return;
  const { presharedKey, endpoint, persistentKeepalive } = wanted;
  if (presharedKey) tunnel.change(() => peer.setPresharedKey(presharedKey));
  if (endpoint) tunnel.change((_, now) => peer.setEndpoint(endpoint, now));
  if (wanted.allowedIps.length > 0 || wanted.replaceAllowedIps) {
    tunnel.changeAllowedIps(peer, encodeAllowedIps(wanted.allowedIps), wanted.replaceAllowedIps);
  }
  if (persistentKeepalive !== undefined) {
    tunnel.change((_, now) => peer.setPersistentKeepalive(persistentKeepalive, now));
  }
}

function peerStatusOf(tunnel: Tunnel, peer: Peer): PeerStatus {
  const { publicKey, presharedKey, endpoint, lastHandshake, persistentKeepalive } = peer;
  const { sentBytes, receivedBytes } = tunnel.counters(peer);
  return {
    publicKey,
    presharedKey,
    ...(endpoint && { endpoint: { ...endpoint, address: withNumberedScope(endpoint.address) } }),
    ...(lastHandshake && { lastHandshake }),
    txBytes: sentBytes,
    rxBytes: receivedBytes,
    persistentKeepalive,
    allowedIps: decodeAllowedIps(tunnel.allowedIps(peer)),
  };
}

const ENTRY_BYTES = 20;

function encodeAllowedIps(changes: SetPeer['allowedIps']): Uint8Array {
  const entries = new Uint8Array(changes.length * ENTRY_BYTES);
  for (const [i, { range, remove }] of changes.entries()) {
    const { family, bytes } = range.address;
    entries.set([family, range.prefix, remove ? 1 : 0], i * ENTRY_BYTES);
    entries.set(bytes, i * ENTRY_BYTES + 4);
  }
  return entries;
}

function decodeAllowedIps(entries: Uint8Array): Cidr[] {
  return Array.from({ length: entries.length / ENTRY_BYTES }, (_, i) => {
    const entry = entries.subarray(i * ENTRY_BYTES, (i + 1) * ENTRY_BYTES);
    const family = entry[0] === 4 ? 4 : 6;
    return { address: { family, bytes: entry.slice(4, family === 4 ? 8 : 20) }, prefix: entry[1]! };
  });
}

/** Where a request fails for another reason than what it says. */
export function asUapiError(error: unknown): UapiError {
  if (error instanceof UapiError) return error;
  return new UapiError('EIO', error instanceof Error ? error.message : String(error));
}
