/** Label and field selectors: parsed once, matched often. */
import { badRequest } from './status.ts';

export type Matcher = (labels: Readonly<Record<string, string>>) => boolean;

/** Parses a label selector (`a=b,c!=d,e in (f,g),h,!i`); an error names what was not understood. */
export function labelSelector(selector: string): Matcher {
  const terms = splitTerms(selector).map(labelTerm);
  return labels => terms.every(term => term(labels));
}

/** The matcher of a LabelSelector object (matchLabels and matchExpressions); an empty one matches all. */
export function objectSelector(selector: {
  matchLabels?: Record<string, string>;
  matchExpressions?: { key: string; operator: string; values?: string[] }[];
}): Matcher {
  const terms: Matcher[] = Object.entries(selector.matchLabels ?? {}).map(
    ([key, value]) =>
      labels =>
        labelOf(labels, key) === value,
  );
  for (const { key, operator, values = [] } of selector.matchExpressions ?? []) {
    if (operator === 'In') terms.push(labels => present(labels, key, values));
    else if (operator === 'NotIn') terms.push(labels => !present(labels, key, values));
    else if (operator === 'Exists') terms.push(labels => labelOf(labels, key) !== undefined);
    else if (operator === 'DoesNotExist') terms.push(labels => labelOf(labels, key) === undefined);
    else throw badRequest(`"${operator}" is not a valid label selector operator`);
  }
  return labels => terms.every(term => term(labels));
}

function labelOf(labels: Readonly<Record<string, string>>, key: string): string | undefined {
  return Object.hasOwn(labels, key) ? labels[key] : undefined;
}

function present(labels: Readonly<Record<string, string>>, key: string, values: readonly string[]): boolean {
  const found = labelOf(labels, key);
  return found !== undefined && values.includes(found);
}

export interface FieldTerm {
  readonly field: string;
  readonly value: string;
  readonly equal: boolean;
}

/** Parses a field selector (`a=b,c!=d`). */
export function fieldSelector(selector: string): FieldTerm[] {
  return selector
    .split(/(?<!\\),/)
    .filter(term => term !== '')
    .map(term => {
      const parts = /^(.*?)(!=|==|=)(.*)$/s.exec(term);
      if (!parts) throw badRequest(`invalid selector: '${selector}'; can't understand '${term}'`);
      const value = (parts[3] as string).replace(/\\([\\,=])/g, '$1');
      return { field: parts[1] as string, value, equal: parts[2] !== '!=' };
    });
}

function splitTerms(selector: string): string[] {
  const terms: string[] = [];
  let depth = 0;
  let term = '';
  for (const letter of selector) {
    if (letter === '(') depth++;
    if (letter === ')') depth--;
    if (letter === ',' && depth === 0) {
      terms.push(term);
      term = '';
    } else term += letter;
  }
  terms.push(term);
  return terms.map(item => item.trim()).filter((item, _, all) => item !== '' || all.length > 1);
}

const KEY = '(?:[A-Za-z0-9](?:[-A-Za-z0-9.]*[A-Za-z0-9])?/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?';
const SET = new RegExp(`^(${KEY})\\s+(in|notin)\\s*\\(([^()]*)\\)$`);
const EQUALITY = new RegExp(`^(${KEY})\\s*(==|=|!=)\\s*([A-Za-z0-9][-A-Za-z0-9_.]*)?$`);
const PRESENCE = new RegExp(`^(!?)\\s*(${KEY})$`);
const ORDER = new RegExp(`^(${KEY})\\s*([<>])\\s*(-?\\d+)$`);

function labelTerm(term: string): Matcher {
  const set = SET.exec(term);
  if (set) {
    const [, key, operator, values] = set as unknown as [string, string, string, string];
    const wanted = values.split(',').map(value => value.trim());
    if (operator === 'in') return labels => present(labels, key, wanted);
    return labels => !present(labels, key, wanted);
  }
  const equality = EQUALITY.exec(term);
  if (equality) {
    const [, key, operator, value = ''] = equality as unknown as [string, string, string, string?];
    return operator === '!='
      ? labels => labelOf(labels, key) !== value
      : labels => labelOf(labels, key) === value;
  }
  const compared = ORDER.exec(term);
  if (compared) {
    const [, key, operator, value] = compared as unknown as [string, string, string, string];
    const limit = Number(value);
    return labels => {
      const found = labelOf(labels, key) ?? '';
      if (!/^-?\d+$/.test(found)) return false;
      return operator === '<' ? Number(found) < limit : Number(found) > limit;
    };
  }
  const presence = PRESENCE.exec(term);
  if (presence) {
    const [, not, key] = presence as unknown as [string, string, string];
    return not ? labels => labelOf(labels, key) === undefined : labels => labelOf(labels, key) !== undefined;
  }
  throw badRequest(
    `unable to parse requirement: found '${term}', expected: a label selector such as 'key=value'`,
  );
}
