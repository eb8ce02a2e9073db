import { type Address, decodeAddress } from './address.ts';
import { decodeLink, type Link } from './link.ts';
import { decodeNeighbour, type Neighbour } from './neighbour.ts';
import type { Message } from './netlink/message.ts';
import * as types from './netlink/route-types.ts';
import { NETLINK_ROUTE, NetlinkEvents } from './netlink/socket.ts';
import { decodeRoute, type Route } from './route.ts';
import { decodeRule, type Rule } from './rule.ts';

export type EventKind = 'link' | 'address' | 'route' | 'rule' | 'neighbour';
export type RtnetlinkEvent =
  | { kind: 'link'; what: 'new' | 'deleted'; link: Link }
  | { kind: 'address'; what: 'new' | 'deleted'; address: Omit<Address, 'device'> }
  | { kind: 'route'; what: 'new' | 'deleted'; route: Route }
  | { kind: 'rule'; what: 'new' | 'deleted'; rule: Rule }
  | { kind: 'neighbour'; what: 'new' | 'deleted'; neighbour: Omit<Neighbour, 'device'> }
  | { kind: 'resync' };
export interface Subscription extends Disposable {
  close(): void;
}

/** Of the network namespace at `netns`, or of ours when it is empty. Throws NetlinkError. */
export function subscribe(
  kinds: EventKind[],
  netns: string,
  onEvent: (event: RtnetlinkEvent) => void,
): Subscription {
  const groups = kinds.flatMap(kind => GROUPS[kind]);
  if (groups.length === 0) throw new TypeError('subscribe to one kind of event at least');
  return new NetlinkEvents(
    NETLINK_ROUTE,
    groups,
    netns,
    messages => {
      for (const message of messages) {
        const event = decodeEvent(message);
        if (event) onEvent(event);
      }
    },
    () => onEvent({ kind: 'resync' }),
  );
}

/** Undefined for what is no event of a kind that we know. */
export function decodeEvent({ type, body }: Message): RtnetlinkEvent | undefined {
  const what = DELETIONS.has(type) ? 'deleted' : 'new';
  switch (type) {
    case types.RTM_NEWLINK:
    case types.RTM_DELLINK: {
      const link = decodeLink(body);
      return link && { kind: 'link', what, link };
    }
    case types.RTM_NEWADDR:
    case types.RTM_DELADDR: {
      const address = decodeAddress(body);
      return address && { kind: 'address', what, address };
    }
    case types.RTM_NEWROUTE:
    case types.RTM_DELROUTE: {
      const route = decodeRoute(body);
      return route && { kind: 'route', what, route };
    }
    case types.RTM_NEWRULE:
    case types.RTM_DELRULE: {
      const rule = decodeRule(body);
      return rule && { kind: 'rule', what, rule };
    }
    case types.RTM_NEWNEIGH:
    case types.RTM_DELNEIGH: {
      const neighbour = decodeNeighbour(body);
      return neighbour && { kind: 'neighbour', what, neighbour };
    }
    default:
      return undefined;
  }
}

const GROUPS: Record<EventKind, number[]> = {
  link: [types.RTNLGRP_LINK],
  address: [types.RTNLGRP_IPV4_IFADDR, types.RTNLGRP_IPV6_IFADDR],
  route: [types.RTNLGRP_IPV4_ROUTE, types.RTNLGRP_IPV6_ROUTE],
  rule: [types.RTNLGRP_IPV4_RULE, types.RTNLGRP_IPV6_RULE],
  neighbour: [types.RTNLGRP_NEIGH],
};
const DELETIONS = new Set([
  types.RTM_DELLINK,
  types.RTM_DELADDR,
  types.RTM_DELROUTE,
  types.RTM_DELRULE,
  types.RTM_DELNEIGH,
]);
