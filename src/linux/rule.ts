import { formatCidr } from '../proto/ip/cidr.ts';
import { Attributes, Writer } from './netlink/attributes.ts';
import { defined } from './netlink/defined.ts';
import { afOf, cidrText, type Family, familyOf, requireCidr } from './netlink/ip.ts';

/** What a policy routing rule does (linux/fib_rules.h FR_ACT_*). */
export type RuleAction = 'lookup' | 'blackhole' | 'unreachable' | 'prohibit' | 'goto' | 'nop';

/** A policy routing rule, as shown and as made. Prefixes are CIDRs; absent = any. */
export interface Rule {
  family: Family;
  priority: number;
  action: RuleAction;
  /** For `lookup`. */
  table?: number;
  from?: string;
  to?: string;
  iif?: string;
  oif?: string;
  mark?: number;
  mask?: number;
  /** The whole selector negated (`not …`). */
  invert?: boolean;
  /** For `goto`. */
  target?: number;
  protocol?: number;
}

/** Body of RTM_NEWRULE and RTM_DELRULE. */
export function encodeRule(rule: Rule): Uint8Array {
  const from = selector(rule, rule.from);
  const to = selector(rule, rule.to);
  const writer = new Writer()
    .u8(afOf(rule.family))
    .u8(to?.prefix ?? 0)
    .u8(from?.prefix ?? 0)
    .u8(0);
  const table = rule.table ?? 0;
  writer
    .u8(table < 256 ? table : 0)
    .u8(0)
    .u8(0)
    .u8(ACTIONS[rule.action]);
  writer.u32(rule.invert ? FIB_RULE_INVERT : 0);
  if (to) writer.attributeBytes(FRA_DST, to.address.bytes);
  if (from) writer.attributeBytes(FRA_SRC, from.address.bytes);
  writer.attributeU32(FRA_PRIORITY, rule.priority);
  if (rule.iif !== undefined) writer.attributeString(FRA_IIFNAME, rule.iif);
  if (rule.oif !== undefined) writer.attributeString(FRA_OIFNAME, rule.oif);
  if (rule.target !== undefined) writer.attributeU32(FRA_GOTO, rule.target);
  if (rule.mark !== undefined) writer.attributeU32(FRA_FWMARK, rule.mark);
  if (rule.mask !== undefined) writer.attributeU32(FRA_FWMASK, rule.mask);
  if (rule.table !== undefined) writer.attributeU32(FRA_TABLE, rule.table);
  if (rule.protocol !== undefined) writer.attributeU8(FRA_PROTOCOL, rule.protocol);
  return writer.finish();
}

/** Body of a dump. */
export function encodeRuleFilter(family: Family): Uint8Array {
  return new Writer().u8(afOf(family)).u8(0).u16(0).u32(0).u32(0).finish();
}

export function decodeRule(body: Uint8Array): Rule | undefined {
  if (body.length < HEADER) return undefined;
  const view = new DataView(body.buffer, body.byteOffset, body.length);
  const family = familyOf(view.getUint8(0));
  const action = ACTION_NAMES.get(view.getUint8(7));
  if (!family || !action) return undefined;
  const attributes = new Attributes(body.subarray(HEADER));
  const prefix = (type: number, length: number) =>
    attributes.bytes(type) && cidrText(family, attributes.bytes(type), length);
  const mark = attributes.u32(FRA_FWMARK);
  const mask = attributes.u32(FRA_FWMASK);
  return {
    family,
    priority: attributes.u32(FRA_PRIORITY) ?? 0,
    action,
    ...defined({
      table: action === 'lookup' ? (attributes.u32(FRA_TABLE) ?? view.getUint8(4)) : undefined,
      from: prefix(FRA_SRC, view.getUint8(2)),
      to: prefix(FRA_DST, view.getUint8(1)),
      iif: attributes.string(FRA_IIFNAME),
      oif: attributes.string(FRA_OIFNAME),
      mark: mark === 0 && !mask ? undefined : mark,
      mask: mask === 0 ? undefined : mask,
      invert: view.getUint32(8, true) & FIB_RULE_INVERT ? true : undefined,
      target: attributes.u32(FRA_GOTO),
      protocol: attributes.u8(FRA_PROTOCOL) || undefined,
    }),
  };
}

/** Whether two rules select and do the same; who made them (`protocol`) does not matter. */
export function equalRules(a: Rule, b: Rule): boolean {
  return ruleKey(a) === ruleKey(b);
}

const HEADER = 12;
const FIB_RULE_INVERT = 2;
const FRA_DST = 1;
const FRA_SRC = 2;
const FRA_IIFNAME = 3;
const FRA_GOTO = 4;
const FRA_PRIORITY = 6;
const FRA_FWMARK = 10;
const FRA_TABLE = 15;
const FRA_FWMASK = 16;
const FRA_OIFNAME = 17;
const FRA_PROTOCOL = 21;

const ACTIONS: Record<RuleAction, number> = {
  lookup: 1,
  goto: 2,
  nop: 3,
  blackhole: 6,
  unreachable: 7,
  prohibit: 8,
};
const ACTION_NAMES = new Map(
  Object.entries(ACTIONS).map(([name, number]) => [number, name as RuleAction] as const),
);
const ALL_ONES = 0xffffffff;

function selector(rule: Rule, text: string | undefined) {
  if (text === undefined) return undefined;
  const cidr = requireCidr(text);
  if (cidr.address.family !== rule.family) throw new TypeError(`${text} is not of the rule's family`);
  return cidr;
}

function ruleKey(rule: Rule): string {
  const { family, priority, action, table, from, to, iif, oif, mark, invert, target } = rule;
  const mask = rule.mask ?? (mark === undefined ? undefined : ALL_ONES);
  const fields = [
    family,
    priority,
    action,
    table,
    host(from),
    host(to),
    iif,
    oif,
    mark,
    mask,
    invert,
    target,
  ];
  return JSON.stringify(fields.map(field => field || null));
}

/** A bare address is its host prefix. */
function host(text: string | undefined): string | undefined {
  return text === undefined ? undefined : formatCidr(requireCidr(text));
}
