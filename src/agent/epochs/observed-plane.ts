/** What the kernel and the engine do, put in terms of epochs. */
import type { IpsecObserved, WireGuardObserved } from '../../drivers/driver.ts';
import type { Route } from '../../linux/route.ts';
import type { Opening, Plane, Sealing } from '../../model/epochs/plane.ts';
import { ESP_DEVICE, TABLE, VXLAN_DEVICE, WIREGUARD_DEVICE } from '../../model/names.ts';

export interface PlaneSources {
  /** All that could be peers, with the pod CIDRs by which they are routed to. */
  readonly peers: readonly {
    readonly name: string;
    readonly podCIDRs: readonly string[];
    readonly publicKey?: string;
  }[];
  readonly clear: boolean;
  readonly routes: readonly Route[];
  /** Absent: the device is not there, or has another private key than this node's. */
  readonly wireguard: WireGuardObserved | undefined;
  readonly ipsec: IpsecObserved | undefined;
  /** Peers for which WireGuard was opened before they had said their public key. */
  readonly awaited: ReadonlySet<string>;
  readonly probes: readonly Sealing[];
}

export function observedPlane(sources: PlaneSources): Plane {
  const { clear, probes, peers, awaited, wireguard, ipsec } = sources;
  return {
    clear,
    probes,
    opens: [
      ...(wireguard ? wireguardOpenings(peers, wireguard, awaited) : []),
      ...(ipsec ? ipsecOpenings(ipsec) : []),
    ],
    seals: seals(sources),
  };
}

/** A peer without a key yet counts as opened once that was decided: it has to make the handshake anyway. */
export function wireguardOpenings(
  peers: readonly { readonly name: string; readonly publicKey?: string }[],
  wireguard: WireGuardObserved,
  awaited?: ReadonlySet<string>,
): Opening[] {
  const configured = new Map(wireguard.peers.map(peer => [peer.publicKey, peer]));
  return peers.flatMap(({ name, publicKey }): Opening[] => {
    const opening = { peer: name, incarnation: '', epoch: 'wireguard' as const };
    if (publicKey === undefined) return awaited?.has(name) ? [opening] : [];
    const there = configured.get(publicKey);
    if (!there) return [];
    return [there.lastHandshake === undefined ? opening : { ...opening, heardAt: there.lastHandshake }];
  });
}

export function ipsecOpenings({ openings }: IpsecObserved): Opening[] {
  return openings.map(({ peer, incarnation, epoch, heardAt }) => ({
    peer,
    incarnation,
    epoch,
    ...(heardAt === undefined ? {} : { heardAt }),
  }));
}

/** The route to a peer says by which device its traffic goes, and for ESP the policy by which key. */
function seals({ peers, routes, ipsec }: PlaneSources): Sealing[] {
  const devices = new Map(
    routes
      .filter(({ table, type }) => table === TABLE.pods && type === 'unicast')
      .map(({ destination, device }) => [destination, device]),
  );
  return peers.flatMap(({ name, podCIDRs }): Sealing[] => {
    const device = podCIDRs.map(cidr => devices.get(cidr)).find(found => found !== undefined);
    switch (device) {
      case WIREGUARD_DEVICE:
        return [{ peer: name, incarnation: '', epoch: 'wireguard' }];
      case VXLAN_DEVICE:
        return [{ peer: name, incarnation: '', epoch: 'none' }];
      case ESP_DEVICE:
        return (ipsec?.seals ?? []).filter(({ peer }) => peer === name);
      default:
        return [];
    }
  });
}
