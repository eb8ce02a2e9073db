/** Routes and rules of a plan against those in the kernel: what to add, what to take away. Pure. */
import type { NewRoute, Route } from '../linux/route.ts';
import type { Rule } from '../linux/rule.ts';
import { ROUTE_PROTOCOL, TABLE } from '../model/names.ts';
import { familyOf } from '../model/net.ts';
import type { RoutePlan, RulePlan } from '../model/plan.ts';

export interface Difference<Wanted, There> {
  missing: Wanted[];
  surplus: There[];
}

/** Which of the kernel's rules are ours is told by their protocol number. */
export function ruleDifference(there: Rule[], wanted: RulePlan[]): Difference<Rule, Rule> {
  const own = there.filter(rule => rule.protocol === ROUTE_PROTOCOL);
  const rules = wanted.map(rule => ({ ...rule, protocol: ROUTE_PROTOCOL }));
  return difference(rules, own, ruleKey);
}

/** `ground`: routes that belong to no peer; `paths`: those to peers. */
export type RouteShare = 'ground' | 'paths';

export function routeDifference(
  there: Route[],
  wanted: RoutePlan[],
  share: RouteShare,
): Difference<NewRoute, Route> {
  const own = there.filter(route => shareOf(route) === share);
  const routes = wanted.map((route): NewRoute => ({ ...route, protocol: ROUTE_PROTOCOL }));
  const { missing, surplus } = difference(routes, own, routeKey);
  // What a replacement will take the place of is not deleted: that would leave a gap, or take the new one.
  const replaced = new Set(routes.map(slot));
  return { missing, surplus: surplus.filter(route => !replaced.has(slot(route))) };
}

const OWN_TABLES: number[] = [TABLE.pods, TABLE.nodes, TABLE.tunnels];

/** Whose a route in the kernel is; undefined: somebody else's. */
function shareOf(route: Route): RouteShare | undefined {
  const owned = OWN_TABLES.includes(route.table);
  if (owned) return route.type === 'unicast' ? 'paths' : 'ground';
  const marked = route.table === TABLE.main && route.protocol === String(ROUTE_PROTOCOL);
  return marked && route.type === 'unreachable' ? 'ground' : undefined;
}

function difference<W, T>(wanted: W[], there: T[], key: (item: W | T) => string): Difference<W, T> {
  const wantedKeys = new Set(wanted.map(key));
  const thereKeys = new Set(there.map(key));
  return {
    missing: wanted.filter(item => !thereKeys.has(key(item))),
    surplus: there.filter(item => !wantedKeys.has(key(item))),
  };
}

function ruleKey(rule: Rule): string {
  const { family, priority, action, table, from, to, iif, oif, mark, mask, invert } = rule;
  return JSON.stringify([
    family,
    priority,
    action,
    table,
    from,
    to,
    iif,
    oif,
    mark || undefined,
    mark ? mask : undefined,
    !!invert,
  ]);
}

function routeKey(route: NewRoute | Route): string {
  const { destination, table, type, via, source } = route;
  // The kernel shows the loopback as the device of IPv6 routes that go nowhere.
  const device = type === 'unicast' ? route.device : undefined;
  return JSON.stringify([destination, table, type, device, via, source]);
}

function slot(route: NewRoute | Route): string {
  return `${route.table} ${route.destination}`;
}

export function describeRoute(route: NewRoute | Route): string {
  const to =
    route.type === 'unicast' ? `${route.via ? `via ${route.via} ` : ''}dev ${route.device}` : route.type;
  return `route ${route.destination} ${to} table ${route.table}`;
}

export function describeRule(rule: Rule): string {
  const selector = [
    rule.invert ? 'not' : '',
    rule.iif ? `iif ${rule.iif}` : '',
    rule.from ? `from ${rule.from}` : '',
    rule.to ? `to ${rule.to}` : '',
    rule.mark ? `fwmark 0x${rule.mark.toString(16)}` : '',
  ];
  const words = [
    ...selector.filter(word => word !== ''),
    rule.action,
    rule.table === undefined ? '' : String(rule.table),
  ];
  return `rule ${rule.priority}${rule.family === 6 ? ' (IPv6)' : ''} ${words.join(' ').trim()}`;
}

export function families(texts: { destination: string }[]): (4 | 6)[] {
  const found = new Set(texts.map(({ destination }) => familyOf(destination)));
  return [...found];
}
