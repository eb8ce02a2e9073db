/**
 * The difference between a WireGuard device and what it should be, as the lines of one `set=1` of the cross-platform
 * UAPI (https://www.wireguard.com/xplatform/). Pure.
 *
 * Order matters, as the lines take effect one by one. An allowed IP that goes from one peer to another is only added to
 * the new one, which takes it over at once. One that goes away altogether is first handed to a peer with a key nobody
 * has, which then is removed: a peer's list is never emptied and filled again, so no packet falls in between.
 */
import type { WireGuardPeer } from '../model/plan.ts';
import type { ObservedPeer, WireGuardDesired, WireGuardObserved } from './driver.ts';
import { base64ToHex } from './wireguard-keys.ts';

export interface WireGuardChanges {
  lines: string[];
  /** Short phrases for the log; no key material but public keys. */
  phrases: string[];
  /** Public keys of peers that were added. */
  added: string[];
}

export interface ChangeContext {
  /** base64 of the public key that belongs to the desired private key. */
  publicKey: string;
  /** base64; a public key that nobody has. */
  strangerKey: string;
  /** Endpoints as this process set them last, by public key: a peer that roamed since keeps where it is. */
  endpoints: ReadonlyMap<string, string>;
  /** Unix time in milliseconds. */
  now: number;
}

export function wireguardChanges(
  observed: WireGuardObserved,
  desired: WireGuardDesired,
  context: ChangeContext,
): WireGuardChanges {
  const changes: WireGuardChanges = { lines: [], phrases: [], added: [] };
  deviceChanges(observed, desired, context, changes);
  const there = new Map(observed.peers.map(peer => [peer.publicKey, peer]));
  const owner = new Map(observed.peers.flatMap(peer => peer.allowedIPs.map(ip => [ip, peer.publicKey])));
  const wanted = new Map(desired.peers.flatMap(peer => peer.allowedIPs.map(ip => [ip, peer.publicKey])));
  const stays = new Set(desired.peers.map(peer => peer.publicKey));

  for (const peer of desired.peers) peerChanges(there.get(peer.publicKey), peer, owner, context, changes);

  const stray = [...owner].filter(([ip, key]) => stays.has(key) && !wanted.has(ip)).map(([ip]) => ip);
  if (stray.length > 0) {
    const stranger = base64ToHex(context.strangerKey);
    changes.lines.push(`public_key=${stranger}`, ...stray.map(ip => `allowed_ip=${ip}`));
    changes.lines.push(`public_key=${stranger}`, 'remove=true');
    changes.phrases.push(`allowed IPs ${stray.join(', ')} removed`);
  }
  for (const { publicKey } of observed.peers) {
    if (stays.has(publicKey)) continue;
    changes.lines.push(`public_key=${base64ToHex(publicKey)}`, 'remove=true');
    changes.phrases.push(`peer ${publicKey} removed`);
  }
  return changes;
}

/** Lines that make each of the peers start a handshake now, without keeping a keepalive that is not wanted. */
export function nudges(peers: WireGuardPeer[]): { now: string[]; after: string[] } {
  const lines = (seconds: (peer: WireGuardPeer) => number) =>
    peers.flatMap(peer => [
      `public_key=${base64ToHex(peer.publicKey)}`,
      'update_only=true',
      `persistent_keepalive_interval=${seconds(peer)}`,
    ]);
  return { now: lines(() => NUDGE_SECONDS), after: lines(peer => peer.persistentKeepalive) };
}

const NUDGE_SECONDS = 25;

/** After this long without a handshake a peer's observed endpoint is not worth keeping. */
const ENDPOINT_STALE_MS = 180_000;

export function endpointText({ address, port }: { address: string; port: number }): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

function deviceChanges(
  observed: WireGuardObserved,
  desired: WireGuardDesired,
  context: ChangeContext,
  { lines, phrases }: WireGuardChanges,
): void {
  if (observed.publicKey !== context.publicKey) {
    lines.push(`private_key=${Buffer.from(desired.privateKey).toString('hex')}`);
    phrases.push(`key set (public key ${context.publicKey})`);
  }
  if (observed.mark !== desired.mark) {
    lines.push(`fwmark=${desired.mark}`);
    phrases.push(`mark 0x${desired.mark.toString(16)} set`);
  }
  if (observed.listenPort !== desired.listenPort) {
    lines.push(`listen_port=${desired.listenPort}`);
    phrases.push(`UDP port ${desired.listenPort} set`);
  }
}

function peerChanges(
  there: ObservedPeer | undefined,
  peer: WireGuardPeer,
  owner: Map<string, string>,
  context: ChangeContext,
  changes: WireGuardChanges,
): void {
  const lines: string[] = [];
  if (!there || endpointMoved(there, peer, context)) lines.push(`endpoint=${endpointText(peer.endpoint)}`);
  if ((there?.persistentKeepalive ?? 0) !== peer.persistentKeepalive) {
    lines.push(`persistent_keepalive_interval=${peer.persistentKeepalive}`);
  }
  const missing = peer.allowedIPs.filter(ip => owner.get(ip) !== peer.publicKey);
  lines.push(...missing.map(ip => `allowed_ip=${ip}`));
  if (there && lines.length === 0) return;
  changes.lines.push(`public_key=${base64ToHex(peer.publicKey)}`);
  if (there) changes.lines.push('update_only=true');
  changes.lines.push(...lines);
  changes.phrases.push(`peer ${peer.name} ${there ? 'changed' : 'added'}`);
  if (!there) changes.added.push(peer.publicKey);
}

function endpointMoved(there: ObservedPeer, peer: WireGuardPeer, context: ChangeContext): boolean {
  const wanted = endpointText(peer.endpoint);
  if (!there.endpoint) return true;
  if (endpointText(there.endpoint) === wanted) return false;
  const last = context.endpoints.get(peer.publicKey);
  if (last !== undefined) return last !== wanted;
  return there.lastHandshake === undefined || context.now - there.lastHandshake > ENDPOINT_STALE_MS;
}
