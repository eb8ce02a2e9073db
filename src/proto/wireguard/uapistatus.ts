/** The answer to `get=1` of the cross-platform configuration protocol, printed by the engine and parsed by its clients. */
import { isZero, toHex } from '../bytes.ts';
import { type Cidr, formatCidr } from '../ip/cidr.ts';
import type { Endpoint } from './api.ts';
import { formatEndpoint } from './endpoint.ts';
import {
  ERRNO,
  endpointValue,
  errnoOf,
  keyValue,
  numberValue,
  printErrno,
  rangeValue,
  splitLine,
  UapiError,
} from './uapi.ts';

export interface DeviceStatus {
  privateKey?: Uint8Array;
  listenPort: number;
  /** 0 is none. */
  fwmark: number;
  peers: PeerStatus[];
}

export interface PeerStatus {
  publicKey: Uint8Array;
  /** Left out when there is none. */
  presharedKey?: Uint8Array;
  endpoint?: Endpoint;
  /** Unix time; left out when there was none. */
  lastHandshake?: { seconds: number; nanos: number };
  txBytes: number;
  rxBytes: number;
  /** Seconds; 0 is off. */
  persistentKeepalive: number;
  allowedIps: Cidr[];
}

/** With `errno=0` and the empty line at its end. */
export function printStatus(device: DeviceStatus): string {
  const lines: string[] = [];
  if (device.privateKey) lines.push(`private_key=${toHex(device.privateKey)}`);
  lines.push(`listen_port=${device.listenPort}`);
  if (device.fwmark !== 0) lines.push(`fwmark=${device.fwmark}`);
  for (const peer of device.peers) for (const line of peerLines(peer)) lines.push(line);
  return `${lines.join('\n')}\n${printErrno()}`;
}

/** Throws a UapiError alone, for an answer that carries one as well as for one that cannot be read. */
export function parseStatus(answer: string): DeviceStatus {
  const errno = errnoOf(answer);
  if (errno === undefined) throw new UapiError('EPROTO', 'the answer is not whole: it has no errno');
  if (errno !== 0) {
    const code = (Object.keys(ERRNO) as (keyof typeof ERRNO)[]).find(name => ERRNO[name] === errno) ?? 'EIO';
    throw new UapiError(code, `the device answered with errno ${errno}`);
  }
  const device: DeviceStatus = { listenPort: 0, fwmark: 0, peers: [] };
  for (const line of answer.split('\n')) {
    if (line === '') continue;
    const { key, value } = splitLine(line);
    const peer = device.peers.at(-1);
    if (key === 'errno') break;
    if (key === 'public_key') {
      const publicKey = keyValue(key, value);
      device.peers.push({ publicKey, txBytes: 0, rxBytes: 0, persistentKeepalive: 0, allowedIps: [] });
    } else if (peer) {
      readPeerField(peer, key, value);
    } else {
      readDeviceField(device, key, value);
    }
  }
  return device;
}

/** Fields that are not known yet are skipped: a newer engine may have more. */
function readDeviceField(device: DeviceStatus, key: string, value: string): void {
  if (key === 'listen_port') device.listenPort = numberValue(key, value, 65535);
  else if (key === 'fwmark') device.fwmark = numberValue(key, value, 0xffffffff);
  else if (key === 'private_key') {
    const privateKey = keyValue(key, value);
    if (!isZero(privateKey)) device.privateKey = privateKey;
  }
}

function readPeerField(peer: PeerStatus, key: string, value: string): void {
  const count = () => numberValue(key, value, Number.MAX_SAFE_INTEGER);
  if (key === 'endpoint') peer.endpoint = endpointValue(value);
  else if (key === 'allowed_ip') peer.allowedIps.push(rangeValue(value));
  else if (key === 'tx_bytes') peer.txBytes = count();
  else if (key === 'rx_bytes') peer.rxBytes = count();
  else if (key === 'persistent_keepalive_interval') peer.persistentKeepalive = numberValue(key, value, 65535);
  else if (key === 'last_handshake_time_sec') setHandshake(peer, { seconds: count() });
  else if (key === 'last_handshake_time_nsec')
    setHandshake(peer, { nanos: numberValue(key, value, 999_999_999) });
  else if (key === 'preshared_key') {
    const presharedKey = keyValue(key, value);
    if (!isZero(presharedKey)) peer.presharedKey = presharedKey;
  }
}

/** Both lines say 0 when there was no handshake. */
function setHandshake(peer: PeerStatus, part: { seconds?: number; nanos?: number }): void {
  const time = { seconds: 0, nanos: 0, ...peer.lastHandshake, ...part };
  if (time.seconds !== 0 || time.nanos !== 0) peer.lastHandshake = time;
}

function peerLines(peer: PeerStatus): string[] {
  const lines = [
    `public_key=${toHex(peer.publicKey)}`,
    `preshared_key=${toHex(peer.presharedKey ?? new Uint8Array(32))}`,
    'protocol_version=1',
  ];
  if (peer.endpoint) lines.push(`endpoint=${formatEndpoint(peer.endpoint)}`);
  lines.push(
    `last_handshake_time_sec=${peer.lastHandshake?.seconds ?? 0}`,
    `last_handshake_time_nsec=${peer.lastHandshake?.nanos ?? 0}`,
    `tx_bytes=${peer.txBytes}`,
    `rx_bytes=${peer.rxBytes}`,
    `persistent_keepalive_interval=${peer.persistentKeepalive}`,
  );
  for (const range of peer.allowedIps) lines.push(`allowed_ip=${formatCidr(range)}`);
  return lines;
}
