/** Network namespaces of a test's own, and what iproute2 says of them. */
import { execFileSync } from 'node:child_process';
import type { TestContext } from 'node:test';
import { scratchNetns } from '../../src/linux/netns.ts';
import { openRtnetlink, type Rtnetlink } from '../../src/linux/rtnetlink.ts';

/** A fresh namespace, which ends with the test. */
export async function freshNetns(test: TestContext): Promise<string> {
  const scratch = await scratchNetns();
  test.after(() => scratch.close());
  return scratch.path;
}

/** rtnetlink in a fresh namespace. */
export async function freshRtnetlink(test: TestContext): Promise<{ netns: string; rtnetlink: Rtnetlink }> {
  const netns = await freshNetns(test);
  const rtnetlink = openRtnetlink({ netns });
  test.after(() => rtnetlink.close());
  return { netns, rtnetlink };
}

/** Runs a program in the namespace and answers what it prints. */
export function run(netns: string, program: string, ...args: string[]): string {
  return execFileSync('nsenter', [`--net=${netns}`, program, ...args], { encoding: 'utf8' });
}

/** `ip -j …` in the namespace. */
export function ip<T = Record<string, unknown>>(netns: string, ...args: string[]): T[] {
  return JSON.parse(run(netns, 'ip', '-j', ...args) || '[]') as T[];
}

/** Waits until `found` answers something, at most 5 s. */
export async function eventually<T>(what: string, found: () => T | undefined | false): Promise<T> {
  const deadline = Date.now() + 5000;
  for (;;) {
    const value = found();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`in vain waited for ${what}`);
    await new Promise(resolve => setTimeout(resolve, 5));
  }
}
