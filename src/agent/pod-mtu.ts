/**
 * How long a packet the pods that are there may send, when the node changes to another protocol.
 *
 * Shorter: at first by their default routes alone, as an interface with a smaller MTU would refuse what longer packets
 * still come from nodes that have not changed yet; the interfaces follow when all have. Longer: the interfaces first.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Endpoint } from '../cni/endpoint.ts';
import type { Rtnetlink } from '../linux/rtnetlink.ts';
import { type Log, messageOf } from './log.ts';

export interface PodMtuOptions {
  rtnetlink: Rtnetlink;
  endpoints: () => Endpoint[];
  log: Log;
  /** Where the pods' network namespaces are. */
  netnsDir?: string;
}

export class PodMtu {
  readonly #options: PodMtuOptions & { netnsDir: string };
  /** What was done last, so that rounds without a change ask nothing. */
  #done = new Set<string>();

  constructor(options: PodMtuOptions) {
    this.#options = { netnsDir: '/var/run/netns', ...options };
  }

  /** Before traffic moves to where less fits. */
  async shorten(mtu: number): Promise<void> {
    await this.#each('shorter', mtu, false, link => link > mtu);
  }

  /** Once traffic has moved. `settled`: no other protocol is in use any more. */
  async follow(mtu: number, settled: boolean): Promise<void> {
    await this.#each('any', mtu, settled, link => link !== mtu);
  }

  /** A pod that cannot be changed is told of, and left. */
  async #each(
    which: 'shorter' | 'any',
    mtu: number,
    settled: boolean,
    concerns: (mtu: number) => boolean,
  ): Promise<void> {
    const { endpoints, rtnetlink, log } = this.#options;
    const pods = endpoints();
    const asked = JSON.stringify([
      mtu,
      which,
      settled,
      pods.map(({ hostInterface }) => hostInterface).sort(),
    ]);
    if (pods.length === 0 || this.#done.has(asked)) return;
    const links = new Map((await rtnetlink.links()).map(({ index, mtu }) => [index, mtu]));
    const changing = pods.filter(({ hostIndex }) => concerns(links.get(hostIndex) ?? mtu));
    let changed = 0;
    for (const pod of changing) {
      try {
        if (await this.#change(pod, links.get(pod.hostIndex)!, mtu, settled)) changed++;
      } catch (error) {
        log.warning(`the MTU of pod ${pod.namespace}/${pod.pod} stays as it is: ${messageOf(error)}`);
      }
    }
    if (changed > 0) log.info('pods have another MTU', { mtu, pods: changed, settled });
    this.#done = new Set([...this.#done].filter(done => JSON.parse(done)[0] === mtu).concat(asked));
  }

  async #change(pod: Endpoint, before: number, mtu: number, settled: boolean): Promise<boolean> {
    const { rtnetlink } = this.#options;
    const inside = await this.#enter(pod);
    if (!inside) return false;
    try {
      const isLonger = mtu > before;
      if (isLonger) {
        await rtnetlink.setLink(pod.hostIndex, { mtu });
        await inside.setLink(pod.ifname, { mtu });
      }
      await routes(inside, pod.ifname, isLonger || settled ? undefined : mtu);
      if (!isLonger && settled) {
        await inside.setLink(pod.ifname, { mtu });
        await rtnetlink.setLink(pod.hostIndex, { mtu });
      }
      return true;
    } finally {
      inside.close();
    }
  }

  /** The namespace is the one that has the pod's addresses on its interface. */
  async #enter({ ifname, ips, hostIndex }: Endpoint): Promise<Rtnetlink | undefined> {
    const { netnsDir, rtnetlink } = this.#options;
    for (const name of names(netnsDir)) {
      let inside: Rtnetlink | undefined;
      try {
        inside = rtnetlink.inNetns(join(netnsDir, name));
        const link = await inside.link(ifname);
        const held = link?.peer === hostIndex ? await inside.addresses({ device: ifname }) : [];
        if (ips.some(ip => held.some(({ address }) => address.split('/')[0] === ip))) return inside;
      } catch {
        // Gone meanwhile, or no namespace.
      }
      inside?.close();
    }
    return undefined;
  }
}

/** Undefined: as long as the interface allows. */
async function routes(inside: Rtnetlink, device: string, mtu: number | undefined): Promise<void> {
  for (const route of await inside.routes({ table: MAIN, device })) {
    const { destination, via, mtu: now } = route;
    if (via === undefined || now === mtu) continue;
    await inside.replaceRoute({ destination, device, via, ...(mtu === undefined ? {} : { mtu }) });
  }
}

const MAIN = 254;

function names(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
