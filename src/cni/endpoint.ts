/** One pod's attachment to this node, and the text that the kernel keeps of it. */
import { createHash } from 'node:crypto';
import { parseAddress } from '../proto/ip/address.ts';

export interface Endpoint {
  /** After a restart of the agent only its first 12 characters, when the alias had no room for more. */
  containerId: string;
  /** Inside the pod: eth0. */
  ifname: string;
  /** Pod identity out of CNI_ARGS; empty when the runtime gave none. */
  namespace: string;
  pod: string;
  /** Addresses without prefix length, v4 first. */
  ips: string[];
  /** `lxc` and 12 hex digits. */
  hostInterface: string;
  hostIndex: number;
}

/** The host's end of the veth pair of a container's interface: the same name at every try. */
export function hostInterfaceName(containerId: string, ifname: string): string {
  return `lxc${createHash('sha256').update(`${containerId}/${ifname}`).digest('hex').slice(0, 12)}`;
}

export function isHostInterfaceName(name: string): boolean {
  return /^lxc[0-9a-f]{12}$/.test(name);
}

/**
 * The alias of the host's link is the only memory of an endpoint: `pellicle:<container>:<ifname>:<ip>[,<ip>]:<ns>/<pod>`.
 * The kernel takes 255 bytes; where that is too short, the container's id is cut, and then the pod's name.
 */
export function formatAlias(endpoint: Omit<Endpoint, 'hostInterface' | 'hostIndex'>): string {
  const { containerId, ifname, ips, namespace, pod } = endpoint;
  const withId = (id: string) => `${PREFIX}:${id}:${ifname}:${ips.join(',')}:${namespace}/${pod}`;
  const whole = withId(containerId);
  if (Buffer.byteLength(whole) <= MAX_ALIAS) return whole;
  return withId(containerId.slice(0, SHORT_ID)).slice(0, MAX_ALIAS);
}

/** Undefined for what is no endpoint of ours. */
export function parseAlias(
  alias: string | undefined,
): Omit<Endpoint, 'hostInterface' | 'hostIndex'> | undefined {
  const match = /^pellicle:([^:]+):([^:]+):([0-9a-f.:,]+):([^/:]*)\/([^/:]*)$/.exec(alias ?? '');
  if (!match) return undefined;
  const [containerId = '', ifname = '', list = '', namespace = '', pod = ''] = match.slice(1);
  const ips = list.split(',');
  if (!ips.every(ip => parseAddress(ip))) return undefined;
  return { containerId, ifname, ips, namespace, pod };
}

const PREFIX = 'pellicle';
const MAX_ALIAS = 255;
const SHORT_ID = 12;
