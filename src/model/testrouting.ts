/**
 * A small model of the kernel's policy routing (ip-rule(8): rules by priority, in a table the longest prefix, `throw` goes
 * on), to ask a plan where a packet goes.
 */
import { TABLE } from './names.ts';
import { contains, familyOf, firstUsable } from './net.ts';
import type { NodePlan, RoutePlan, RulePlan } from './nodeplan.ts';
import type { SelfNode } from './snapshot.ts';

export interface Packet {
  to: string;
  from?: string;
  iif?: string;
  mark?: number;
}

/** The device a packet leaves by, `local`, or what becomes of it. The node has an eth0, and one pod behind lxc1. */
export function route(self: SelfNode, result: NodePlan, packet: Packet): string {
  const local = [...self.addresses, ...result.network.gateways];
  if (local.includes(packet.to)) return 'local';
  const rules = [...result.ground.rules, mainRule(4), mainRule(6)].sort((a, b) => a.priority - b.priority);
  for (const rule of rules) {
    if (!matches(rule, packet)) continue;
    if (rule.action === 'blackhole') return 'blackhole';
    const found = longest(tableOf(self, result, rule.table!), packet.to);
    if (!found || found.type === 'throw') continue;
    return found.type === 'unicast' ? found.device! : found.type;
  }
  return 'unreachable';
}

function mainRule(family: 4 | 6): RulePlan {
  return { family, priority: 32_766, action: 'lookup', table: TABLE.main };
}

function matches(rule: RulePlan, { to, from, iif = 'lo', mark = 0 }: Packet): boolean {
  if (rule.family !== familyOf(to)) return false;
  const selected =
    (rule.to === undefined || contains(rule.to, to)) &&
    (rule.from === undefined || (from !== undefined && contains(rule.from, from))) &&
    (rule.iif === undefined || rule.iif === iif) &&
    (rule.mark === undefined || (mark & rule.mask!) === rule.mark);
  return rule.invert ? !selected : selected;
}

function tableOf(self: SelfNode, result: NodePlan, table: number): RoutePlan[] {
  const planned = [...result.ground.routes, ...result.paths.routes].filter(entry => entry.table === table);
  if (table !== TABLE.main) return planned;
  const unicast = (destination: string, device: string): RoutePlan => ({
    destination,
    table,
    type: 'unicast',
    device,
  });
  return [
    ...planned,
    ...self.podCIDRs.map(cidr => unicast(`${firstPod(cidr)}/${familyOf(cidr) === 4 ? 32 : 128}`, 'lxc1')),
    ...['172.18.0.0/16', '0.0.0.0/0', 'fd00:172:18::/64', '::/0'].map(destination =>
      unicast(destination, 'eth0'),
    ),
  ];
}

function longest(routes: RoutePlan[], to: string): RoutePlan | undefined {
  const length = ({ destination }: RoutePlan) => Number(destination.split('/')[1]);
  const matching = routes.filter(({ destination }) => contains(destination, to));
  return matching.sort((a, b) => length(b) - length(a))[0];
}

export function firstPod(cidr: string): string {
  return firstUsable(cidr).replace(/1$/, '9');
}
