/**
 * The ground of the node's data plane in the kernel: guards, then devices. Guards are rules and routes that name no
 * device that has to exist, so they stand before the first packet can come, and outlive every process.
 */
import type { Link } from '../linux/link.ts';
import { applyNft, listNft } from '../linux/nft.ts';
import type { Rtnetlink } from '../linux/rtnetlink.ts';
import { readSysctl, writeSysctl } from '../linux/sysctl.ts';
import {
  ESP_DEVICE,
  HOST_DEVICE,
  NFT_CLEAR,
  NFT_TABLE,
  ROUTE_PROTOCOL,
  VXLAN_DEVICE,
  WIREGUARD_DEVICE,
} from '../model/names.ts';
import type { Ground, LinkPlan } from '../model/plan.ts';
import type { Driver } from './driver.ts';
import { describeRoute, describeRule, routeDifference, ruleDifference } from './routing.ts';

export interface GroundObserved {
  /** Devices of the plan by name; absent ones are left out. */
  links: Map<string, Link>;
  /** Whether the guards let pods' packets come and go in the clear; absent: there are no guards of ours. */
  clear?: boolean;
}

export interface HostOptions {
  rtnetlink: Rtnetlink;
  /** Of the network namespace that `rtnetlink` is in, when it is not this process's. */
  netns?: string;
}

export class HostGround implements Driver<Ground, GroundObserved> {
  readonly name = 'host-ground';
  readonly #net: Rtnetlink;
  readonly #netns: { netns?: string };

  constructor({ rtnetlink, netns }: HostOptions) {
    this.#net = rtnetlink;
    this.#netns = netns === undefined ? {} : { netns };
  }

  async apply(ground: Ground): Promise<string[]> {
    const done: string[] = [];
    const routes = routeDifference(await this.#net.routes(), ground.routes, 'ground');
    for (const route of routes.missing) {
      await this.#net.replaceRoute(route);
      done.push(`${describeRoute(route)} added`);
    }
    const rules = ruleDifference(await this.#net.rules(), ground.rules);
    for (const rule of rules.missing) {
      await this.#net.ensureRule(rule);
      done.push(`${describeRule(rule)} added`);
    }
    await this.#nft(ground, done);
    for (const name of ground.absentLinks) await this.#removeLink(name, done);
    for (const link of ground.links) await this.#makeLink(link, done);
    await this.#sysctls(ground, done);
    await this.#addresses(ground, done);
    for (const link of ground.links) await this.#raise(link, done);
    for (const rule of rules.surplus) {
      if (await this.#net.deleteRule(rule)) done.push(`${describeRule(rule)} removed`);
    }
    for (const route of routes.surplus) {
      if (await this.#net.deleteRoute(keyOf(route))) done.push(`${describeRoute(route)} removed`);
    }
    return done;
  }

  async observe(): Promise<GroundObserved> {
    const links = await this.#net.links();
    const listed = await listNft(['table', 'inet', NFT_TABLE], this.#netns);
    return {
      links: new Map(links.map(link => [link.name, link])),
      ...(listed === undefined ? {} : { clear: listed.some(item => chainName(item) === NFT_CLEAR) }),
    };
  }

  async cleanUp(): Promise<void> {
    for (const name of [WIREGUARD_DEVICE, ESP_DEVICE, VXLAN_DEVICE, HOST_DEVICE])
      await this.#net.deleteLink(name);
    if ((await listNft(['table', 'inet', NFT_TABLE], this.#netns)) !== undefined) {
      await applyNft(`delete table inet ${NFT_TABLE}\n`, this.#netns);
    }
    for (const rule of await this.#net.rules()) {
      if (rule.protocol === ROUTE_PROTOCOL) await this.#net.deleteRule(rule);
    }
    for (const route of routeDifference(await this.#net.routes(), [], 'ground').surplus) {
      await this.#net.deleteRoute(keyOf(route));
    }
  }

  /** A TUN that has a carrier has an engine, which would not outlive it, or would make it anew. */
  async #removeLink(name: string, done: string[]): Promise<void> {
    const there = await this.#net.link(name);
    if (!there || (there.kind === 'tun' && (there.carrier || !there.up))) return;
    if (await this.#net.deleteLink(name)) done.push(`device ${name} removed`);
  }

  /** A device of another kind, or a vxlan with other parameters, is made anew. */
  async #makeLink(plan: LinkPlan, done: string[]): Promise<void> {
    if (plan.kind === 'wireguard' || plan.kind === 'esp') return;
    const there = await this.#net.link(plan.name);
    if (there && fits(there, plan)) {
      if (plan.kind === 'vxlan' && there.mac !== plan.mac) {
        await this.#net.setLink(plan.name, { mac: plan.mac });
        done.push(`device ${plan.name} has ${plan.mac}`);
      }
      return;
    }
    if (there) await this.#net.deleteLink(plan.name);
    if (plan.kind === 'veth') {
      await this.#net.addLink({
        kind: 'veth',
        name: plan.name,
        mtu: plan.mtu,
        peer: { name: plan.peer, mtu: plan.mtu },
      });
    } else {
      const { name, id, port, local, mac, mtu } = plan;
      await this.#net.addLink({ kind: 'vxlan', name, id, port, local, mac, mtu, learning: false });
    }
    done.push(`device ${plan.name} made`);
  }

  async #raise(plan: LinkPlan, done: string[]): Promise<void> {
    for (const name of plan.kind === 'veth' ? [plan.peer, plan.name] : [plan.name]) {
      const link = await this.#net.link(name);
      if (!link) continue;
      if (link.mtu !== plan.mtu) {
        await this.#net.setLink(name, { mtu: plan.mtu });
        done.push(`device ${name} has MTU ${plan.mtu}`);
      }
      if (!link.up) {
        await this.#net.setLink(name, { up: true });
        done.push(`device ${name} up`);
      }
    }
  }

  /** A device that is not there yet is passed over: its coming brings the next round. */
  async #addresses(ground: Ground, done: string[]): Promise<void> {
    const devices = new Set((await this.#net.links()).map(({ name }) => name));
    for (const { device, addresses } of ground.addresses.filter(({ device }) => devices.has(device))) {
      const there = (await this.#net.addresses({ device }))
        .filter(({ scope }) => scope === 'global')
        .map(({ address }) => address);
      for (const address of addresses.filter(address => !there.includes(address))) {
        await this.#net.replaceAddress({ device, address });
        done.push(`address ${address} on ${device} added`);
      }
      for (const address of there.filter(address => !addresses.includes(address))) {
        if (await this.#net.deleteAddress({ device, address }))
          done.push(`address ${address} on ${device} removed`);
      }
    }
  }

  async #sysctls(ground: Ground, done: string[]): Promise<void> {
    for (const { key, value } of ground.sysctls) {
      const there = await readSysctl(key, this.#netns).catch(ignoreMissing);
      if (there === undefined || there.trim() === value) continue;
      await writeSysctl(key, value, this.#netns);
      done.push(`sysctl ${key} = ${value}`);
    }
  }

  async #nft({ nft }: Ground, done: string[]): Promise<void> {
    const listed = await listNft(['table', 'inet', nft.table], this.#netns);
    if (listed?.some(item => chainName(item) === nft.version)) return;
    await applyNft(nft.script, this.#netns);
    done.push(`nft table inet ${nft.table} set`);
  }
}

function fits(link: Link, plan: LinkPlan): boolean {
  if (link.kind !== plan.kind) return false;
  if (plan.kind !== 'vxlan') return true;
  const { vxlan } = link;
  return vxlan?.id === plan.id && vxlan.port === plan.port && vxlan.local === plan.local && !vxlan.learning;
}

function keyOf(route: { destination: string; table: number; type: 'unicast' | string; metric?: number }) {
  const { destination, table, metric } = route;
  return { destination, table, ...(metric === undefined ? {} : { metric }) };
}

/** A device that is not there yet has no sysctls; a kernel without IPv6 neither. */
function ignoreMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
  return undefined;
}

function chainName(item: unknown): string | undefined {
  const chain = (item as { chain?: { name?: string } }).chain;
  return chain?.name;
}
