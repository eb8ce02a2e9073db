/** Ages as kubectl writes them: two units at most, and only one where the other says little. */

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const YEAR = 365 * DAY;

/** `milliseconds` of 0 and more: `45s`, `3m20s`, `6h5m`, `5d`, `2y31d`. */
export function ageText(milliseconds: number): string {
  const age = Math.max(0, milliseconds);
  if (age < 2 * MINUTE) return `${Math.floor(age / SECOND)}s`;
  if (age < 10 * MINUTE) return pair(age, MINUTE, 'm', SECOND, 's');
  if (age < 3 * HOUR) return `${Math.floor(age / MINUTE)}m`;
  if (age < 8 * HOUR) return pair(age, HOUR, 'h', MINUTE, 'm');
  if (age < 2 * DAY) return `${Math.floor(age / HOUR)}h`;
  if (age < 8 * DAY) return pair(age, DAY, 'd', HOUR, 'h');
  if (age < 2 * YEAR) return `${Math.floor(age / DAY)}d`;
  return pair(age, YEAR, 'y', DAY, 'd');
}

function pair(age: number, large: number, largeSign: string, small: number, smallSign: string): string {
  const rest = Math.floor((age % large) / small);
  return `${Math.floor(age / large)}${largeSign}${rest > 0 ? `${rest}${smallSign}` : ''}`;
}
