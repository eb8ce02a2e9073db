/**
 * Deaths at chosen steps, for tests: with PELLICLE_FAILPOINT=<name> the agent kills itself (SIGKILL) the first time it
 * passes that step. A marker in its run directory (`failpoint-<name>`) keeps the next agent from dying of it again.
 * Without the variable nothing happens. The steps of the law, in their order:
 *
 *     before-open   after-open         new epochs are opened
 *     before-advertise  after-advertise   the CiliumNode tells of them
 *     before-probe  after-probe        an epoch is tried
 *     before-seal   after-seal         traffic moves over
 *     before-withdraw   after-withdraw    the CiliumNode no longer tells of the old epoch
 *     before-close  after-close        the old epoch is closed
 */
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';

export const STEPS = ['open', 'advertise', 'probe', 'seal', 'withdraw', 'close'] as const;
export type StepName = (typeof STEPS)[number];
export type Failpoint = (name: `${'before' | 'after'}-${StepName}`) => void;

export function failpoints(name: string | undefined, runDir: string, die = killSelf): Failpoint {
  if (name === undefined || name === '') return () => {};
  const known = STEPS.flatMap(step => [`before-${step}`, `after-${step}`]);
  if (!known.includes(name))
    throw new Error(`PELLICLE_FAILPOINT is "${name}": write one of ${known.join(', ')}`);
  return passed => {
    if (passed === name && isFirstTime(join(runDir, `failpoint-${name}`), runDir)) die();
  };
}

function isFirstTime(marker: string, folder: string): boolean {
  mkdirSync(folder, { recursive: true });
  try {
    closeSync(openSync(marker, 'wx', 0o600));
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

function killSelf(): void {
  process.kill(process.pid, 'SIGKILL');
}
