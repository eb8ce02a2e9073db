/** What leads to peers, in the kernel: routes, and for vxlan the neighbours and the forwarding database. */
import { isNetlinkError } from '../linux/netlink/error.ts';
import type { Rtnetlink } from '../linux/rtnetlink.ts';
import { TABLE, VXLAN_DEVICE } from '../model/names.ts';
import type { Paths } from '../model/plan.ts';
import type { Driver } from './driver.ts';
import type { HostOptions } from './host-ground.ts';
import { describeRoute, routeDifference } from './routing.ts';

export interface PathsObserved {
  routes: number;
  /** The devices to which packets for other nodes' pods are routed, by their CIDRs. */
  pods: Map<string, string>;
}

export class HostPaths implements Driver<Paths, PathsObserved> {
  readonly name = 'host-paths';
  readonly #net: Rtnetlink;

  constructor({ rtnetlink }: Pick<HostOptions, 'rtnetlink'>) {
    this.#net = rtnetlink;
  }

  /** New: neighbours and forwarding first, routes last; surplus in reverse. */
  async apply(paths: Paths): Promise<string[]> {
    const done: string[] = [];
    const vxlan = (await this.#net.link(VXLAN_DEVICE)) !== undefined;
    const surplusNeighbours = vxlan ? await this.#neighbours(paths, done) : [];
    const surplusFdb = vxlan ? await this.#fdb(paths, done) : [];
    const routes = routeDifference(await this.#net.routes(), paths.routes, 'paths');
    for (const route of routes.missing) {
      await this.#net.replaceRoute(route.via === undefined ? route : { ...route, onlink: true });
      done.push(`${describeRoute(route)} added`);
    }
    for (const route of routes.surplus) {
      const { destination, table, metric } = route;
      const key = { destination, table, ...(metric === undefined ? {} : { metric }) };
      if (await this.#net.deleteRoute(key)) done.push(`${describeRoute(route)} removed`);
    }
    for (const address of surplusNeighbours) {
      if (await this.#net.deleteNeighbour({ address, device: VXLAN_DEVICE }))
        done.push(`neighbour ${address} removed`);
    }
    for (const entry of surplusFdb) {
      if (await this.#net.deleteFdb({ ...entry, device: VXLAN_DEVICE }))
        done.push(`forwarding of ${entry.mac} removed`);
    }
    return done;
  }

  async observe(): Promise<PathsObserved> {
    const routes = routeDifference(await this.#net.routes(), [], 'paths').surplus;
    const pods = routes.flatMap(({ table, destination, device }): [string, string][] =>
      table === TABLE.pods && device !== undefined ? [[destination, device]] : [],
    );
    return { routes: routes.length, pods: new Map(pods) };
  }

  async cleanUp(): Promise<void> {
    await this.apply({ routes: [], neighbours: [], fdb: [] });
  }

  /** Answers the addresses of surplus entries. */
  async #neighbours({ neighbours }: Paths, done: string[]): Promise<string[]> {
    const all = await this.#net.neighbours({ device: VXLAN_DEVICE });
    const there = new Map(
      all.filter(({ state }) => state === 'permanent').map(({ address, mac }) => [address, mac]),
    );
    for (const { address, mac, device } of neighbours) {
      if (there.get(address) === mac) continue;
      await this.#net.replaceNeighbour({ address, mac, device, state: 'permanent' });
      done.push(`neighbour ${address} added`);
    }
    return [...there.keys()].filter(address => !neighbours.some(wanted => wanted.address === address));
  }

  async #fdb({ fdb }: Paths, done: string[]): Promise<{ mac: string; destination?: string }[]> {
    const there = (await this.#net.fdb(VXLAN_DEVICE)).filter(({ destination }) => destination !== undefined);
    const key = (entry: { mac: string; destination?: string }) => `${entry.mac} ${entry.destination}`;
    const [have, want] = [new Set(there.map(key)), new Set(fdb.map(key))];
    const surplus = there.filter(entry => !want.has(key(entry)));
    for (const entry of fdb) {
      if (have.has(key(entry))) continue;
      // The kernel appends a second destination to a MAC rather than replacing the first.
      for (const old of surplus.filter(({ mac }) => mac === entry.mac)) await this.#drop(old);
      await this.#net.replaceFdb(entry);
      done.push(`forwarding of ${entry.mac} to ${entry.destination} added`);
    }
    return surplus.map(({ mac, destination }) => ({
      mac,
      ...(destination === undefined ? {} : { destination }),
    }));
  }

  async #drop({ mac, destination }: { mac: string; destination?: string }): Promise<void> {
    try {
      await this.#net.deleteFdb({
        mac,
        device: VXLAN_DEVICE,
        ...(destination === undefined ? {} : { destination }),
      });
    } catch (error) {
      if (!isNetlinkError(error, 'ENOENT')) throw error;
    }
  }
}
