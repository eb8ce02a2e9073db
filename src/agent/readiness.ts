/** When the agent calls its node ready: pods can come, and what they send to other nodes is sealed and opened. */
import type { RoundState } from './reconcile.ts';

/** An engine that restarts is back within this; a probe need not see it. */
export const GRACE_MS = 3000;

/**
 * Why the node is not ready, as a sentence; undefined when it is. `now` by the clock of `deafSince`; `watching`: what is
 * wrong with the watches, without which there is no first round.
 */
export function notReady(
  { ready, problem, deafSince }: Pick<RoundState, 'ready' | 'problem' | 'deafSince'>,
  now: number,
  watching?: string,
): string | undefined {
  if (!ready) return problem ?? watching ?? 'starting';
  if (deafSince === undefined || now - deafSince < GRACE_MS) return undefined;
  return problem ?? 'the WireGuard engine cannot be used';
}
