/** The result of ADD in every version's shape (CNI SPEC.md, section 5). */
import { parseAddress } from '../proto/ip/address.ts';
import { parseCidr } from '../proto/ip/cidr.ts';
import { BAD_CONFIG, CniError } from './error.ts';
import { atLeast, type CniVersion } from './version.ts';

/** As version 1.1.0 has it; fields that we do not know are passed on. */
export interface CniResult {
  interfaces: CniInterface[];
  ips: CniIp[];
  routes: CniRoute[];
  dns: Record<string, unknown>;
}
export interface CniInterface {
  name: string;
  mac?: string;
  mtu?: number;
  /** Path of the network namespace; absent on the host. */
  sandbox?: string;
}
export interface CniIp {
  /** With prefix length. */
  address: string;
  gateway?: string;
  /** Index in `interfaces`. */
  interface?: number;
}
export interface CniRoute {
  dst: string;
  gw?: string;
  mtu?: number;
}

/** What goes to stdout. */
export function renderResult(version: CniVersion, result: CniResult): object {
  if (!atLeast(version, '0.3.0')) return renderOldest(version, result);
  const ips = result.ips.map(ip =>
    atLeast(version, '1.0.0') ? ip : { version: versionOf(ip.address), ...ip },
  );
  const whole = atLeast(version, '1.1.0');
  const interfaces = whole ? result.interfaces : result.interfaces.map(({ mtu: _mtu, ...rest }) => rest);
  const routes = whole ? result.routes : result.routes.map(({ dst, gw }) => ({ dst, ...(gw && { gw }) }));
  return { cniVersion: version, interfaces, ips, routes, dns: result.dns };
}

/** Of a `prevResult` of version 0.3.0 or later. Throws CniError. */
export function parseResult(value: unknown): CniResult {
  if (!isObject(value)) throw bad('is not an object');
  const { interfaces = [], ips = [], routes = [], dns = {} } = value;
  if (!isObjects(interfaces) || !interfaces.every(isInterface)) throw bad('has bad "interfaces"');
  if (!isObjects(ips) || !ips.every(ip => isIp(ip, interfaces.length))) throw bad('has bad "ips"');
  if (!isObjects(routes) || !routes.every(isRoute)) throw bad('has bad "routes"');
  if (!isObject(dns)) throw bad('has bad "dns"');
  const plainIps = ips.map(({ version: _version, ...ip }) => ip);
  return { interfaces, ips: plainIps, routes, dns } as unknown as CniResult;
}

/** The result of a plugin that comes after others: theirs, then ours. */
export function mergeResults(previous: CniResult | undefined, ours: CniResult): CniResult {
  if (!previous) return ours;
  const shift = previous.interfaces.length;
  const ips = ours.ips.map(ip =>
    ip.interface === undefined ? ip : { ...ip, interface: ip.interface + shift },
  );
  return {
    interfaces: [...previous.interfaces, ...ours.interfaces],
    ips: [...previous.ips, ...ips],
    routes: [...previous.routes, ...ours.routes],
    dns: previous.dns,
  };
}

/** 0.1.0 and 0.2.0 know one address of each family and no interfaces. */
function renderOldest(version: CniVersion, result: CniResult): object {
  const of = (family: '4' | '6') => {
    const ip = result.ips.find(({ address }) => versionOf(address) === family);
    if (!ip) return undefined;
    const routes = result.routes
      .filter(({ dst }) => versionOf(dst) === family)
      .map(({ dst, gw }) => ({ dst, ...(gw && { gw }) }));
    return { ip: ip.address, ...(ip.gateway && { gateway: ip.gateway }), routes };
  };
  const [ip4, ip6] = [of('4'), of('6')];
  return { cniVersion: version, ...(ip4 && { ip4 }), ...(ip6 && { ip6 }), dns: result.dns };
}

function versionOf(cidr: string): '4' | '6' {
  return cidr.includes(':') ? '6' : '4';
}

function isInterface({ name, mac, sandbox }: Record<string, unknown>): boolean {
  return typeof name === 'string' && isText(mac) && isText(sandbox);
}

function isIp(ip: Record<string, unknown>, interfaces: number): boolean {
  const index = ip.interface;
  const indexed = index === undefined || (Number.isInteger(index) && (index as number) < interfaces);
  const gateway = ip.gateway === undefined || (typeof ip.gateway === 'string' && parseAddress(ip.gateway));
  return indexed && Boolean(gateway) && typeof ip.address === 'string' && parseCidr(ip.address) !== undefined;
}

function isRoute({ dst, gw }: Record<string, unknown>): boolean {
  return typeof dst === 'string' && parseCidr(dst) !== undefined && isText(gw);
}

function isText(value: unknown): boolean {
  return value === undefined || typeof value === 'string';
}

function isObjects(value: unknown): value is Record<string, unknown>[] {
  return Array.isArray(value) && value.every(isObject);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function bad(what: string): CniError {
  return new CniError(BAD_CONFIG, `"prevResult" in the configuration ${what}`);
}
