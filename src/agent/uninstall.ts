/**
 * Takes everything of ours off the node, in the order that opens no hole: no new pods, pods cut off, nobody seals for
 * this node, then paths, devices, guards and the key. The pods' own links stay, down: a later install takes them up
 * again, and until then nothing of them leaves the node unsealed.
 */
import type { Endpoint } from '../cni/endpoint.ts';
import type { Rtnetlink } from '../linux/rtnetlink.ts';
import { hostPrefix } from '../model/net.ts';

export async function lowerEndpoints(rtnetlink: Rtnetlink, endpoints: Endpoint[]): Promise<void> {
  for (const { hostInterface } of endpoints) {
    const link = await rtnetlink.link(hostInterface);
    if (link?.up) await rtnetlink.setLink(hostInterface, { up: false });
  }
}

/** Undoes `lowerEndpoints`. Answers how many were down. */
export async function raiseEndpoints(rtnetlink: Rtnetlink, endpoints: Endpoint[]): Promise<number> {
  let raised = 0;
  for (const { hostInterface, ips } of endpoints) {
    const link = await rtnetlink.link(hostInterface);
    if (!link || link.up) continue;
    await rtnetlink.setLink(hostInterface, { up: true });
    for (const ip of ips) {
      await rtnetlink.replaceRoute({ destination: hostPrefix(ip), device: hostInterface, scope: 'link' });
    }
    raised++;
  }
  return raised;
}
