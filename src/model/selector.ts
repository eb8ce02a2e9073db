/**
 * Kubernetes label selectors in their text form (apimachinery labels.Parse): `a`, `!a`, `a=b`, `a==b`, `a!=b`,
 * `a in (x,y)`, `a notin (x,y)`, joined by commas. The empty text selects nothing here.
 */

export interface Requirement {
  key: string;
  operator: 'exists' | 'absent' | 'in' | 'notin';
  values: string[];
}
export type Selector = Requirement[];
export type Labels = Readonly<Record<string, string>>;

/** The requirements, or a sentence that tells what is wrong. */
export function parseSelector(text: string): Selector | string {
  const selector: Selector = [];
  for (const part of split(text)) {
    const requirement = parseRequirement(part.trim());
    if (typeof requirement === 'string') return requirement;
    selector.push(requirement);
  }
  return selector;
}

/** Whether all requirements hold; false for the empty selector. */
export function selects(selector: Selector, labels: Labels): boolean {
  return selector.length > 0 && selector.every(requirement => holds(requirement, labels));
}

function holds({ key, operator, values }: Requirement, labels: Labels): boolean {
  const value = Object.hasOwn(labels, key) ? labels[key] : undefined;
  switch (operator) {
    case 'exists':
      return value !== undefined;
    case 'absent':
      return value === undefined;
    case 'in':
      return value !== undefined && values.includes(value);
    case 'notin':
      return value === undefined || !values.includes(value);
  }
}

const KEY = '(?:[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?';
const VALUE = '(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?';
const EXISTS = new RegExp(`^(!?)\\s*(${KEY})$`);
const EQUALS = new RegExp(`^(${KEY})\\s*(==|=|!=)\\s*(${VALUE})$`);
const SET = new RegExp(`^(${KEY})\\s+(in|notin)\\s*\\(\\s*(${VALUE}(?:\\s*,\\s*${VALUE})*)\\s*\\)$`);

function parseRequirement(text: string): Requirement | string {
  const exists = EXISTS.exec(text);
  if (exists) return { key: exists[2]!, operator: exists[1] === '!' ? 'absent' : 'exists', values: [] };
  const equals = EQUALS.exec(text);
  if (equals) {
    return { key: equals[1]!, operator: equals[2] === '!=' ? 'notin' : 'in', values: [equals[3]!] };
  }
  const set = SET.exec(text);
  if (set) {
    const values = set[3]!.split(',').map(value => value.trim());
    return { key: set[1]!, operator: set[2] === 'in' ? 'in' : 'notin', values };
  }
  return `"${text}" is not a label selector; write for instance node-role.kubernetes.io/control-plane, or team=edge`;
}

/** At commas outside of parentheses. */
function split(text: string): string[] {
  if (text.trim() === '') return [];
  return text.split(/,(?![^(]*\))/);
}
