/** How far an address or a route reaches (linux/rtnetlink.h, enum rt_scope_t). */
export type Scope = 'global' | 'site' | 'link' | 'host' | 'nowhere';

const NUMBERS: Record<Scope, number> = { global: 0, site: 200, link: 253, host: 254, nowhere: 255 };

export function scopeNumber(scope: Scope): number {
  return NUMBERS[scope];
}

/** The number as text for a scope without a name. */
export function scopeName(number: number): string {
  return Object.entries(NUMBERS).find(([, value]) => value === number)?.[0] ?? String(number);
}
