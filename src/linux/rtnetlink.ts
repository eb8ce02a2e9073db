/** rtnetlink(7): devices, addresses, routes, rules, neighbours, as whole objects of plain data. */
import { closeSync, openSync } from 'node:fs';
import { constants } from 'node:os';
import {
  type Address,
  decodeAddress,
  encodeAddress,
  encodeAddressFilter,
  type NewAddress,
} from './address.ts';
import {
  decodeLink,
  encodeLinkChange,
  encodeLinkKey,
  encodeNewLink,
  type Link,
  type LinkChange,
  type NewLink,
} from './link.ts';
import {
  decodeFdb,
  decodeNeighbour,
  encodeFdb,
  encodeNeighbour,
  encodeNeighbourFilter,
  type FdbEntry,
  type Neighbour,
  type NewFdbEntry,
  type NewNeighbour,
} from './neighbour.ts';
import { defined } from './netlink/defined.ts';
import { isNetlinkError, NetlinkError } from './netlink/error.ts';
import type { Family } from './netlink/ip.ts';
import { NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE } from './netlink/message.ts';
import {
  RTM_DELADDR,
  RTM_DELLINK,
  RTM_DELNEIGH,
  RTM_DELROUTE,
  RTM_DELRULE,
  RTM_GETADDR,
  RTM_GETLINK,
  RTM_GETNEIGH,
  RTM_GETROUTE,
  RTM_GETRULE,
  RTM_NEWADDR,
  RTM_NEWLINK,
  RTM_NEWNEIGH,
  RTM_NEWROUTE,
  RTM_NEWRULE,
} from './netlink/route-types.ts';
import { NETLINK_ROUTE, NetlinkSocket } from './netlink/socket.ts';
import {
  decodeRoute,
  encodeRoute,
  encodeRouteFilter,
  encodeRouteKey,
  type NewRoute,
  type Route,
  type RouteKey,
} from './route.ts';
import { type EventKind, type RtnetlinkEvent, type Subscription, subscribe } from './rtnetlink-events.ts';
import { decodeRule, encodeRule, encodeRuleFilter, equalRules, type Rule } from './rule.ts';

export type { EventKind, RtnetlinkEvent, Subscription };

/**
 * One network namespace's routing state. Every call may throw NetlinkError (errno, code, the kernel's own
 * sentence). `replace*` and `ensure*` are idempotent; `delete*` tell whether there was something to delete.
 * Devices are given by name or index.
 */
export interface Rtnetlink extends Disposable {
  links(): Promise<Link[]>;
  link(device: string | number): Promise<Link | undefined>;
  /** EEXIST when the name is taken. Answers the new device as it is then. */
  addLink(link: NewLink): Promise<Link>;
  setLink(device: string | number, change: LinkChange): Promise<void>;
  deleteLink(device: string | number): Promise<boolean>;

  addresses(filter?: { device?: string | number; family?: Family }): Promise<Address[]>;
  replaceAddress(address: NewAddress): Promise<void>;
  deleteAddress(address: NewAddress): Promise<boolean>;

  routes(filter?: { family?: Family; table?: number; device?: string }): Promise<Route[]>;
  /** EEXIST when there is one for the same destination, table and metric. */
  addRoute(route: NewRoute): Promise<void>;
  replaceRoute(route: NewRoute): Promise<void>;
  deleteRoute(route: RouteKey): Promise<boolean>;

  rules(family?: Family): Promise<Rule[]>;
  /** Adds the rule unless one with the very same fields is there. */
  ensureRule(rule: Rule): Promise<void>;
  deleteRule(rule: Rule): Promise<boolean>;

  /** Proxy entries are listed apart, with `proxy`. */
  neighbours(filter?: { family?: Family; device?: string | number; proxy?: boolean }): Promise<Neighbour[]>;
  replaceNeighbour(neighbour: NewNeighbour): Promise<void>;
  deleteNeighbour(neighbour: { address: string; device: string | number; proxy?: boolean }): Promise<boolean>;

  fdb(device: string | number): Promise<FdbEntry[]>;
  replaceFdb(entry: NewFdbEntry): Promise<void>;
  deleteFdb(entry: NewFdbEntry): Promise<boolean>;

  /** Calls `onEvent` for each change until the answer is closed. `resync`: events were lost, read all again. */
  subscribe(kinds: EventKind[], onEvent: (event: RtnetlinkEvent) => void): Subscription;

  /** The same API inside another network namespace, given by path. Close it on its own. */
  inNetns(path: string): Rtnetlink;
  close(): void;
}

/** Opens rtnetlink in this process's network namespace, or in the one at `netns`. Throws NetlinkError. */
export function openRtnetlink(options: { netns?: string } = {}): Rtnetlink {
  const netns = options.netns ?? '';
  return new RtnetlinkSocket(NetlinkSocket.open(NETLINK_ROUTE, netns), netns);
}

class RtnetlinkSocket implements Rtnetlink {
  readonly #socket: NetlinkSocket;
  readonly #netns: string;

  constructor(socket: NetlinkSocket, netns: string) {
    this.#socket = socket;
    this.#netns = netns;
  }

  links(): Promise<Link[]> {
    return this.#dump('list devices', RTM_GETLINK, encodeLinkKey(), decodeLink);
  }

  async link(device: string | number): Promise<Link | undefined> {
    return this.#getLink(device, true);
  }

  async addLink(link: NewLink): Promise<Link> {
    const what = `add the ${link.kind} device ${link.name}`;
    const peerNetns = link.kind === 'veth' ? link.peer.netns : undefined;
    const lower = link.kind === 'vxlan' ? link.device : undefined;
    const indexes = {
      ...(await this.#masterIndex(link.master)),
      ...(lower === undefined ? {} : { deviceIndex: await this.#indexOf(lower) }),
    };
    await withOpen(what, { netnsFd: link.netns, peerNetnsFd: peerNetns }, fds => {
      const body = encodeNewLink(link, { ...fds, ...indexes });
      return this.#socket.request(what, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body);
    });
    if (link.kind === 'veth' && link.peer.up) {
      await this.#inside(peerNetns, there => there.setLink(link.peer.name, { up: true }));
    }
    const made = await this.#inside(link.netns, async there => {
      if (link.alias !== undefined) await there.setLink(link.name, { alias: link.alias });
      return there.link(link.name);
    });
    if (!made) throw new NetlinkError(what, constants.errno.ENODEV, 'it went away at once');
    return made;
  }

  async setLink(device: string | number, change: LinkChange): Promise<void> {
    const what = `change the device ${device}`;
    const key =
      change.name !== undefined && typeof device === 'string' ? await this.#indexOf(device) : device;
    const { netns, master, ...rest } = change;
    const index = await this.#masterIndex(master);
    await withOpen(what, { netnsFd: netns }, fds => {
      const body = encodeLinkChange(key, { ...rest, ...fds, ...index });
      return this.#socket.request(what, RTM_NEWLINK, 0, body);
    });
  }

  async deleteLink(device: string | number): Promise<boolean> {
    return this.#delete(`delete the device ${device}`, RTM_DELLINK, encodeLinkKey(device), 'ENODEV');
  }

  async addresses(filter: { device?: string | number; family?: Family } = {}): Promise<Address[]> {
    const deviceIndex = filter.device === undefined ? undefined : await this.#indexOf(filter.device);
    const body = encodeAddressFilter(
      defined({ family: filter.family, deviceIndex }) as { family?: Family; deviceIndex?: number },
    );
    const found = await this.#dump('list addresses', RTM_GETADDR, body, decodeAddress);
    return this.#named(found.filter(({ family }) => !filter.family || family === filter.family));
  }

  async replaceAddress(address: NewAddress): Promise<void> {
    const what = `add the address ${address.address} to ${address.device}`;
    const body = encodeAddress(address, await this.#indexOf(address.device));
    await this.#socket.request(what, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, body);
  }

  async deleteAddress(address: NewAddress): Promise<boolean> {
    const index = await this.#findIndex(address.device);
    if (index === undefined) return false;
    const what = `delete the address ${address.address} of ${address.device}`;
    const body = encodeAddress(address, index);
    return this.#delete(what, RTM_DELADDR, body, 'EADDRNOTAVAIL', 'ENODEV');
  }

  async routes(filter: { family?: Family; table?: number; device?: string } = {}): Promise<Route[]> {
    const families: Family[] = filter.family ? [filter.family] : [4, 6];
    const lists = await Promise.all(families.map(family => this.#routesOf(family, filter.table)));
    const routes = await this.#routesNamed(lists.flat());
    return filter.device === undefined ? routes : routes.filter(({ device }) => device === filter.device);
  }

  addRoute(route: NewRoute): Promise<void> {
    return this.#newRoute(route, NLM_F_CREATE | NLM_F_EXCL);
  }

  replaceRoute(route: NewRoute): Promise<void> {
    return this.#newRoute(route, NLM_F_CREATE | NLM_F_REPLACE);
  }

  async deleteRoute(route: RouteKey): Promise<boolean> {
    const index = route.device === undefined ? undefined : await this.#findIndex(route.device);
    if (route.device !== undefined && index === undefined) return false;
    const body = encodeRouteKey(route, index);
    return this.#delete(`delete the route to ${route.destination}`, RTM_DELROUTE, body, 'ESRCH', 'ENOENT');
  }

  async rules(family?: Family): Promise<Rule[]> {
    const families: Family[] = family ? [family] : [4, 6];
    const lists = await Promise.all(
      families.map(each => this.#dump('list rules', RTM_GETRULE, encodeRuleFilter(each), decodeRule)),
    );
    return lists.flatMap((list, i) => list.filter(rule => rule.family === families[i]));
  }

  async ensureRule(rule: Rule): Promise<void> {
    // The kernel's own NLM_F_EXCL does not look at `not`.
    const rules = await this.rules(rule.family);
    if (rules.some(other => equalRules(other, rule))) return;
    await this.#socket.request(`add the rule ${rule.priority}`, RTM_NEWRULE, NLM_F_CREATE, encodeRule(rule));
  }

  deleteRule(rule: Rule): Promise<boolean> {
    return this.#delete(`delete the rule ${rule.priority}`, RTM_DELRULE, encodeRule(rule), 'ENOENT', 'ESRCH');
  }

  async neighbours(
    filter: { family?: Family; device?: string | number; proxy?: boolean } = {},
  ): Promise<Neighbour[]> {
    const body = encodeNeighbourFilter(filter.family, filter.proxy);
    const found = await this.#dump('list neighbours', RTM_GETNEIGH, body, decodeNeighbour);
    const index = filter.device === undefined ? undefined : await this.#indexOf(filter.device);
    return this.#named(found.filter(({ deviceIndex }) => index === undefined || deviceIndex === index));
  }

  async replaceNeighbour(neighbour: NewNeighbour): Promise<void> {
    const what = `set the neighbour ${neighbour.address} on ${neighbour.device}`;
    const body = encodeNeighbour(neighbour, await this.#indexOf(neighbour.device));
    await this.#socket.request(what, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, body);
  }

  async deleteNeighbour(neighbour: NewNeighbour): Promise<boolean> {
    const index = await this.#findIndex(neighbour.device);
    if (index === undefined) return false;
    const what = `delete the neighbour ${neighbour.address} on ${neighbour.device}`;
    return this.#delete(what, RTM_DELNEIGH, encodeNeighbour(neighbour, index), 'ENOENT', 'ENODEV', 'ENXIO');
  }

  async fdb(device: string | number): Promise<FdbEntry[]> {
    const index = await this.#indexOf(device);
    const body = encodeNeighbourFilter('bridge');
    const found = await this.#dump('list the forwarding database', RTM_GETNEIGH, body, decodeFdb);
    return this.#named(found.filter(({ deviceIndex }) => deviceIndex === index));
  }

  async replaceFdb(entry: NewFdbEntry): Promise<void> {
    const what = `set the forwarding entry ${entry.mac} on ${entry.device}`;
    const body = encodeFdb(entry, await this.#indexOf(entry.device));
    await this.#socket.request(what, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, body);
  }

  async deleteFdb(entry: NewFdbEntry): Promise<boolean> {
    const index = await this.#findIndex(entry.device);
    if (index === undefined) return false;
    const what = `delete the forwarding entry ${entry.mac} on ${entry.device}`;
    return this.#delete(what, RTM_DELNEIGH, encodeFdb(entry, index), 'ENOENT', 'ENODEV');
  }

  subscribe(kinds: EventKind[], onEvent: (event: RtnetlinkEvent) => void): Subscription {
    return subscribe(kinds, this.#netns, onEvent);
  }

  inNetns(path: string): Rtnetlink {
    return openRtnetlink({ netns: path });
  }

  close(): void {
    this.#socket.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** In the network namespace at `netns`, or in ours when it is undefined. */
  async #inside<T>(netns: string | undefined, work: (there: Rtnetlink) => Promise<T>): Promise<T> {
    if (netns === undefined) return work(this);
    const there = this.inNetns(netns);
    try {
      return await work(there);
    } finally {
      there.close();
    }
  }

  async #dump<T>(
    what: string,
    type: number,
    body: Uint8Array,
    decode: (body: Uint8Array) => T | undefined,
  ): Promise<T[]> {
    const messages = await this.#socket.dump(what, type, body);
    return messages.map(message => decode(message.body)).filter(item => item !== undefined);
  }

  /** False for the codes that mean that there was none. */
  async #delete(what: string, type: number, body: Uint8Array, ...absent: string[]): Promise<boolean> {
    try {
      await this.#socket.request(what, type, 0, body);
      return true;
    } catch (error) {
      if (isNetlinkError(error, ...absent)) return false;
      throw error;
    }
  }

  async #getLink(device: string | number, withStatistics: boolean): Promise<Link | undefined> {
    const body = encodeLinkKey(device, withStatistics);
    try {
      const [message] = await this.#socket.request(`look up the device ${device}`, RTM_GETLINK, 0, body);
      return message && decodeLink(message.body);
    } catch (error) {
      if (isNetlinkError(error, 'ENODEV')) return undefined;
      throw error;
    }
  }

  async #findIndex(device: string | number): Promise<number | undefined> {
    return typeof device === 'number' ? device : (await this.#getLink(device, false))?.index;
  }

  async #indexOf(device: string | number): Promise<number> {
    const index = await this.#findIndex(device);
    if (index !== undefined) return index;
    throw new NetlinkError(`look up the device ${device}`, constants.errno.ENODEV);
  }

  async #masterIndex(master: string | number | null | undefined): Promise<{ masterIndex?: number }> {
    if (master === undefined) return {};
    return { masterIndex: master === null ? 0 : await this.#indexOf(master) };
  }

  async #newRoute(route: NewRoute, flags: number): Promise<void> {
    const index = route.device === undefined ? undefined : await this.#indexOf(route.device);
    const what = `add the route to ${route.destination}`;
    await this.#socket.request(what, RTM_NEWROUTE, flags, encodeRoute(route, index));
  }

  async #routesOf(family: Family, table: number | undefined): Promise<Route[]> {
    try {
      const body = encodeRouteFilter(family, table);
      const found = await this.#dump('list routes', RTM_GETROUTE, body, decodeRoute);
      return found.filter(route => route.family === family && (!table || route.table === table));
    } catch (error) {
      if (isNetlinkError(error, 'ENOENT')) return []; // no such table yet
      throw error;
    }
  }

  async #names(): Promise<Map<number, string>> {
    const body = encodeLinkKey(undefined, false);
    const links = await this.#dump('list devices', RTM_GETLINK, body, decodeLink);
    return new Map(links.map(({ index, name }) => [index, name]));
  }

  /** Items of devices that went away meanwhile are left out. */
  async #named<T extends { deviceIndex: number }>(items: T[]): Promise<(T & { device: string })[]> {
    if (items.length === 0) return [];
    const names = await this.#names();
    return items.flatMap(item => {
      const device = names.get(item.deviceIndex);
      return device === undefined ? [] : [{ ...item, device }];
    });
  }

  async #routesNamed(routes: Route[]): Promise<Route[]> {
    if (!routes.some(({ deviceIndex, nexthops }) => deviceIndex !== undefined || nexthops)) return routes;
    const names = await this.#names();
    const nameOf = (index: number | undefined) => defined({ device: index && names.get(index) });
    return routes.map(route => ({
      ...route,
      ...nameOf(route.deviceIndex),
      ...defined({
        nexthops: route.nexthops?.map(nexthop => ({ ...nexthop, ...nameOf(nexthop.deviceIndex) })),
      }),
    })) as Route[];
  }
}

/** Opens the files of the paths that are given, for as long as `work` takes. */
async function withOpen<K extends string, T>(
  what: string,
  paths: Record<K, string | undefined>,
  work: (fds: Partial<Record<K, number>>) => Promise<T>,
): Promise<T> {
  const fds: Partial<Record<K, number>> = {};
  try {
    for (const [key, path] of Object.entries(paths) as [K, string | undefined][]) {
      if (path !== undefined) fds[key] = openNetns(what, path);
    }
    return await work(fds);
  } finally {
    for (const fd of Object.values<number | undefined>(fds)) if (fd !== undefined) closeSync(fd);
  }
}

function openNetns(what: string, path: string): number {
  try {
    return openSync(path, 'r');
  } catch (error) {
    const { errno = 0 } = error as NodeJS.ErrnoException;
    throw new NetlinkError(`${what}: open the network namespace ${path}`, -errno);
  }
}
