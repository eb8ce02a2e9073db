/** Kubernetes quantities (`100m`, `64Mi`, `1e3`) as plain numbers. */

const SUFFIXES: Record<string, number> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};

/** What is no quantity counts as nothing: the API server has validated it. */
export function parseQuantity(text: string): number {
  const match = /^([+-]?\d*\.?\d+(?:[eE][+-]?\d+)?)([numkKMGTPE]?i?)$/.exec(String(text));
  const factor = SUFFIXES[match?.[2] ?? ''];
  return match === null || factor === undefined ? 0 : Number(match[1]) * factor;
}
