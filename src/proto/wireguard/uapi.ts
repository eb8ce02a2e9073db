/**
 * The cross-platform configuration protocol, https://www.wireguard.com/xplatform/: what `wg` writes to and reads from the
 * socket of a userspace implementation. Text in, plain data out, and back. Requests are parsed whole before any of it is
 * applied.
 */
import { fromHex, isZero, toHex } from '../bytes.ts';
import { type Cidr, formatCidr, parseCidr } from '../ip/cidr.ts';
import type { Endpoint } from './api.ts';
import { formatEndpoint, parseEndpoint } from './endpoint.ts';

/** Linux errno values that answers carry, negated, as wireguard-go does. */
export const ERRNO = { EIO: 5, EINVAL: 22, EPROTO: 71, EADDRINUSE: 98 } as const;

/** What is wrong with a request, without the secrets in it. */
export class UapiError extends Error {
  override readonly name = 'UapiError';
  readonly code: keyof typeof ERRNO;

  constructor(code: keyof typeof ERRNO, message: string) {
    super(message);
    this.code = code;
  }
}

export interface SetDevice {
  /** Null takes the key away. */
  privateKey?: Uint8Array | null;
  /** 0 lets the system choose. */
  listenPort?: number;
  /** 0 is none. */
  fwmark?: number;
  replacePeers: boolean;
  /** In order; a peer may come more than once. */
  peers: SetPeer[];
}

export interface SetPeer {
  publicKey: Uint8Array;
  remove: boolean;
  /** Only if there is such a peer. */
  updateOnly: boolean;
  /** All zero takes it away. */
  presharedKey?: Uint8Array;
  endpoint?: Endpoint;
  /** Seconds; 0 is off. */
  persistentKeepalive?: number;
  replaceAllowedIps: boolean;
  /** In order. */
  allowedIps: { range: Cidr; remove: boolean }[];
}

export type UapiRequest = { readonly get: true } | { readonly set: SetDevice };

/**
 * Takes the first whole request off what came over a connection: requests end with an empty line. Undefined while the
 * first is not whole.
 */
export function takeRequest(received: string): { request: string; rest: string } | undefined {
  const end = received.indexOf('\n\n');
  return end < 0 ? undefined : { request: received.slice(0, end + 1), rest: received.slice(end + 2) };
}

/** One request without its empty line. Throws a UapiError alone. */
export function parseRequest(text: string): UapiRequest {
  const [first = '', ...lines] = text.replace(/\n$/, '').split('\n');
  if (first === 'get=1') {
    if (lines.length > 0) throw new UapiError('EINVAL', 'get=1 takes no further lines');
    return { get: true };
  }
  if (first === 'set=1') return { set: parseSet(lines) };
  throw new UapiError('EPROTO', 'a request begins with get=1 or set=1');
}

export function printRequest(request: UapiRequest): string {
  const lines = 'get' in request ? ['get=1'] : ['set=1', ...setLines(request.set)];
  return `${lines.join('\n')}\n\n`;
}

/** `errno=0`, or the error's negated number, with the empty line. */
export function printErrno(error?: UapiError): string {
  return `errno=${error ? -ERRNO[error.code] : 0}\n\n`;
}

/** The value of `errno=` that ends an answer, 0 or positive; undefined when there is none. */
export function errnoOf(answer: string): number | undefined {
  const match = /(?:^|\n)errno=(-?[0-9]{1,10})\n/.exec(answer);
  return match ? Math.abs(Number(match[1])) : undefined;
}

function parseSet(lines: readonly string[]): SetDevice {
  const device: SetDevice = { replacePeers: false, peers: [] };
  let peer: SetPeer | undefined;
  for (const line of lines) {
    const { key, value } = splitLine(line);
    if (key === 'public_key') {
      peer = {
        publicKey: keyValue(key, value),
        remove: false,
        updateOnly: false,
        replaceAllowedIps: false,
        allowedIps: [],
      };
      device.peers.push(peer);
    } else if (peer) {
      setPeerField(peer, key, value);
    } else {
      setDeviceField(device, key, value);
    }
  }
  return device;
}

function setDeviceField(device: SetDevice, key: string, value: string): void {
  if (key === 'private_key') {
    const privateKey = keyValue(key, value);
    device.privateKey = isZero(privateKey) ? null : privateKey;
  } else if (key === 'listen_port') {
    device.listenPort = numberValue(key, value, 65535);
  } else if (key === 'fwmark') {
    device.fwmark = value === '' ? 0 : numberValue(key, value, 0xffffffff);
  } else if (key === 'replace_peers') {
    device.replacePeers = trueValue(key, value);
  } else {
    throw new UapiError(
      'EINVAL',
      `${fieldName(key)} is no field of a device, which come before the first public_key`,
    );
  }
}

function setPeerField(peer: SetPeer, key: string, value: string): void {
  if (key === 'remove') peer.remove = trueValue(key, value);
  else if (key === 'update_only') peer.updateOnly = trueValue(key, value);
  else if (key === 'preshared_key') peer.presharedKey = keyValue(key, value);
  else if (key === 'endpoint') peer.endpoint = endpointValue(value);
  else if (key === 'persistent_keepalive_interval') peer.persistentKeepalive = numberValue(key, value, 65535);
  else if (key === 'replace_allowed_ips') peer.replaceAllowedIps = trueValue(key, value);
  else if (key === 'allowed_ip') peer.allowedIps.push(allowedIpValue(value));
  else if (key !== 'protocol_version')
    throw new UapiError('EINVAL', `${fieldName(key)} is no field of a peer`);
  else if (value !== '1') throw new UapiError('EINVAL', 'protocol_version has to be 1');
}

function setLines(device: SetDevice): string[] {
  const lines: string[] = [];
  if (device.privateKey !== undefined)
    lines.push(`private_key=${toHex(device.privateKey ?? new Uint8Array(32))}`);
  if (device.listenPort !== undefined) lines.push(`listen_port=${device.listenPort}`);
  if (device.fwmark !== undefined) lines.push(`fwmark=${device.fwmark}`);
  if (device.replacePeers) lines.push('replace_peers=true');
  for (const peer of device.peers) for (const line of peerLines(peer)) lines.push(line);
  return lines;
}

function peerLines(peer: SetPeer): string[] {
  const lines = [`public_key=${toHex(peer.publicKey)}`];
  if (peer.remove) lines.push('remove=true');
  if (peer.updateOnly) lines.push('update_only=true');
  if (peer.presharedKey) lines.push(`preshared_key=${toHex(peer.presharedKey)}`);
  if (peer.endpoint) lines.push(`endpoint=${formatEndpoint(peer.endpoint)}`);
  if (peer.persistentKeepalive !== undefined) {
    lines.push(`persistent_keepalive_interval=${peer.persistentKeepalive}`);
  }
  if (peer.replaceAllowedIps) lines.push('replace_allowed_ips=true');
  for (const { range, remove } of peer.allowedIps)
    lines.push(`allowed_ip=${remove ? '-' : ''}${formatCidr(range)}`);
  return lines;
}

/** Throws a UapiError for a line that is no `key=value`. */
export function splitLine(line: string): { key: string; value: string } {
  const equals = line.indexOf('=');
  if (equals < 1) throw new UapiError('EPROTO', 'every line has to be key=value');
  return { key: line.slice(0, equals), value: line.slice(equals + 1) };
}

export function keyValue(name: string, value: string): Uint8Array {
  const key = value.length === 64 ? fromHex(value) : undefined;
  if (!key) throw new UapiError('EINVAL', `${name} has to be 64 digits of hex`);
  return key;
}

export function numberValue(name: string, value: string, greatest: number): number {
  if (!/^[0-9]{1,16}$/.test(value) || Number(value) > greatest) {
    throw new UapiError('EINVAL', `${name} has to be a number from 0 to ${greatest}, not ${quote(value)}`);
  }
  return Number(value);
}

export function endpointValue(value: string): Endpoint {
  const endpoint = parseEndpoint(value);
  if (endpoint) return endpoint;
  throw new UapiError('EINVAL', `endpoint has to be address:port or [address]:port, not ${quote(value)}`);
}

export function rangeValue(value: string): Cidr {
  const range = parseCidr(value);
  if (range) return range;
  throw new UapiError('EINVAL', `allowed_ip has to be address/bits, not ${quote(value)}`);
}

function allowedIpValue(value: string): { range: Cidr; remove: boolean } {
  const remove = value.startsWith('-');
  return { range: rangeValue(remove ? value.slice(1) : value), remove };
}

function trueValue(name: string, value: string): true {
  if (value !== 'true') throw new UapiError('EINVAL', `${name} can only be true`);
  return true;
}

/** Of what came in, as much as a log can bear: what is as long as a piece of a key, and could be one, is left out. */
function quote(text: string): string {
  const harmless = text.replace(/[0-9A-Za-z+/=]{8,}/g, '…');
  return JSON.stringify(harmless.length > 60 ? `${harmless.slice(0, 60)}…` : harmless);
}

const PEER_FIELDS = [
  'remove',
  'update_only',
  'preshared_key',
  'endpoint',
  'persistent_keepalive_interval',
  'replace_allowed_ips',
  'allowed_ip',
  'protocol_version',
];
const DEVICE_FIELDS = ['private_key', 'listen_port', 'fwmark', 'replace_peers'];

/** What stands before the `=` may be a key in base64 that lost its name: only a field that belongs elsewhere is named. */
function fieldName(key: string): string {
  return PEER_FIELDS.includes(key) || DEVICE_FIELDS.includes(key) ? key : 'what came';
}
