/**
 * A pod's veth pair: made, checked, removed. Everything hangs from the host's link: when it goes, so do the pod's end,
 * the route and the neighbour. Its alias is written last and says that the endpoint is whole; a link of ours without
 * one was left by an agent that was killed on the way.
 */
import { randomBytes } from 'node:crypto';
import { NetlinkError } from '../linux/netlink/error.ts';
import { netnsIdentity } from '../linux/netns.ts';
import type { Rtnetlink } from '../linux/rtnetlink.ts';
import { writeSysctl } from '../linux/sysctl.ts';
import {
  type Endpoint,
  formatAlias,
  hostInterfaceName,
  isHostInterfaceName,
  parseAlias,
} from './endpoint.ts';
import { BAD_ENVIRONMENT, CHECK_FAILED, CniError, INTERFACE_EXISTS } from './error.ts';

/** What the agent gives: addresses without prefix length, one gateway for each family in use. */
export interface WiringPlan {
  containerId: string;
  ifname: string;
  namespace: string;
  pod: string;
  ips: string[];
  gateways: string[];
  mtu: number;
  /** Of the pod's end; random unless told. */
  mac?: string;
  /** A path that leads to the pod's network namespace. */
  netns: string;
}

export interface Wired {
  endpoint: Endpoint;
  hostMac: string;
  podMac: string;
}

export type Step = (name: string) => void | Promise<void>;

/** Throws CniError or NetlinkError; what was made so far is then left for `unwire`. */
export async function wire(host: Rtnetlink, plan: WiringPlan, step: Step): Promise<Wired> {
  const pod = enter(host, plan.netns);
  try {
    return await wireInto(host, pod, plan, step);
  } finally {
    pod.close();
  }
}

/** Removes what `wire` made, whole or half. False when there was nothing. */
export function unwire(host: Rtnetlink, hostInterface: string): Promise<boolean> {
  return host.deleteLink(hostInterface);
}

/** Reads back what the kernel has: whole endpoints, and the names of half-made ones. */
export async function readEndpoints(host: Rtnetlink): Promise<{ whole: Endpoint[]; half: string[] }> {
  const whole: Endpoint[] = [];
  const half: string[] = [];
  for (const link of await host.links()) {
    if (link.kind !== 'veth' || !isHostInterfaceName(link.name)) continue;
    const known = parseAlias(link.alias);
    if (known) whole.push({ ...known, hostInterface: link.name, hostIndex: link.index });
    else half.push(link.name);
  }
  return { whole, half };
}

/** Throws CniError with the first thing that is not as ADD left it. `mac`: what the pod's end had then, where that is known. */
export async function checkWiring(
  host: Rtnetlink,
  endpoint: Endpoint,
  netns: string,
  mac?: string,
): Promise<void> {
  const { hostInterface } = endpoint;
  const link = await host.link(hostInterface);
  if (!link?.up) throw wrong(`the interface ${hostInterface} on the node is ${link ? 'down' : 'missing'}`);
  const hostRoutes = await host.routes({ table: MAIN, device: hostInterface });
  const lost = endpoint.ips.find(ip => !hostRoutes.some(({ destination }) => destination === own(ip)));
  if (lost) throw wrong(`the node has lost its route to ${lost}`);
  const pod = enter(host, netns);
  try {
    await checkPod(pod, endpoint, mac);
  } finally {
    pod.close();
  }
}

const MAIN = 254;

async function wireInto(host: Rtnetlink, pod: Rtnetlink, plan: WiringPlan, step: Step): Promise<Wired> {
  const { containerId, ifname, netns, mtu, ips, namespace } = plan;
  const hostInterface = hostInterfaceName(containerId, ifname);
  const hostMac = randomMac();
  const podMac = plan.mac ?? randomMac();
  const v6 = ips.some(isV6);
  if (await pod.link(ifname)) {
    throw new CniError(
      INTERFACE_EXISTS,
      `the pod's network namespace has an interface ${ifname} already: call DEL before another ADD`,
    );
  }

  await step('veth');
  const peer = { name: ifname, netns, mtu, mac: podMac };
  const { index } = await host.addLink({ kind: 'veth', name: hostInterface, mtu, mac: hostMac, peer });

  await step('host-settings');
  await hostSettings(hostInterface, v6);
  await host.setLink(index, { up: true });

  await step('pod-address');
  if (v6) await writeSysctl(`net/ipv6/conf/${ifname}/disable_ipv6`, 0, { netns });
  for (const ip of ips) await pod.replaceAddress({ address: own(ip), device: ifname });
  await pod.setLink(ifname, { up: true });

  await step('pod-routes');
  for (const ip of ips) {
    const gateway = gatewayFor(ip, plan.gateways);
    // Permanent, both here and on the host: nobody has to answer ARP or neighbour discovery.
    await pod.replaceNeighbour({ address: gateway, device: ifname, mac: hostMac });
    await pod.replaceRoute({ destination: own(gateway), device: ifname, scope: 'link' });
    await pod.replaceRoute({ destination: any(ip), device: ifname, via: gateway });
  }

  await step('host-routes');
  for (const ip of ips) {
    await host.replaceNeighbour({ address: ip, device: index, mac: podMac });
    await host.replaceRoute({ destination: own(ip), device: index, scope: 'link' });
  }

  await step('commit');
  const endpoint = { containerId, ifname, namespace, pod: plan.pod, ips, hostInterface, hostIndex: index };
  await host.setLink(index, { alias: formatAlias(endpoint) });
  return { endpoint, hostMac, podMac };
}

async function checkPod(pod: Rtnetlink, { ifname, ips }: Endpoint, mac: string | undefined): Promise<void> {
  const link = await pod.link(ifname);
  if (!link?.up) throw wrong(`the interface ${ifname} in the pod is ${link ? 'down' : 'missing'}`);
  if (mac !== undefined && link.mac !== mac) {
    throw wrong(`the interface ${ifname} in the pod has another MAC address than ${mac}`);
  }
  const addresses = await pod.addresses({ device: ifname });
  const routes = await pod.routes({ table: MAIN, device: ifname });
  for (const ip of ips) {
    if (!addresses.some(({ address }) => address === own(ip))) {
      throw wrong(`the interface ${ifname} in the pod has lost its address ${ip}`);
    }
    if (!routes.some(({ destination, via }) => destination === any(ip) && via)) {
      throw wrong(`the pod has lost its default route for ${ip}`);
    }
  }
}

/**
 * Strict reverse path: a pod may send with its own IPv4 address alone. And no pod may advertise itself as a router to
 * its node.
 */
async function hostSettings(hostInterface: string, v6: boolean): Promise<void> {
  await writeSysctl(`net/ipv4/conf/${hostInterface}/rp_filter`, 1);
  await writeSysctl(`net/ipv4/conf/${hostInterface}/forwarding`, 1);
  if (!v6) return;
  await writeSysctl(`net/ipv6/conf/${hostInterface}/accept_ra`, 0);
  await writeSysctl(`net/ipv6/conf/${hostInterface}/forwarding`, 1);
}

function enter(host: Rtnetlink, path: string): Rtnetlink {
  const identity = netnsIdentity(path);
  if (identity === undefined) throw noNetns();
  if (identity === netnsIdentity('/proc/self/ns/net')) {
    throw new CniError(
      BAD_ENVIRONMENT,
      "CNI_NETNS is the node's own network namespace, which needs no plugin",
    );
  }
  try {
    return host.inNetns(path);
  } catch (error) {
    // A namespace, but of another kind.
    if (error instanceof NetlinkError && error.code === 'EINVAL') throw noNetns();
    throw error;
  }
}

function noNetns(): CniError {
  return new CniError(
    BAD_ENVIRONMENT,
    'CNI_NETNS does not lead to a network namespace: has the sandbox ended?',
  );
}

function gatewayFor(ip: string, gateways: string[]): string {
  const gateway = gateways.find(each => isV6(each) === isV6(ip));
  if (gateway === undefined) throw new Error(`no gateway of the family of ${ip}`);
  return gateway;
}

function isV6(ip: string): boolean {
  return ip.includes(':');
}

/** The address alone, as a prefix. */
function own(ip: string): string {
  return isV6(ip) ? `${ip}/128` : `${ip}/32`;
}

/** The default route of the address's family. */
function any(ip: string): string {
  return isV6(ip) ? '::/0' : '0.0.0.0/0';
}

/** Locally administered, unicast. */
function randomMac(): string {
  const bytes = randomBytes(6);
  bytes[0] = (bytes[0]! & 0xfc) | 0x02;
  return bytes.toString('hex').replace(/(..)(?=.)/g, '$1:');
}

function wrong(what: string): CniError {
  return new CniError(CHECK_FAILED, `${what}: delete the pod, so that it is made again`);
}
