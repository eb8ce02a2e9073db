/** nftables by the `nft` program: a whole script is applied atomically or not at all. */
import { spawn } from 'node:child_process';

/** `message` is one sentence: what nft said and of which line. */
export class NftError extends Error {
  override readonly name = 'NftError';
}

/** `nft -f -`. Throws NftError; nothing of the script is applied then. */
export async function applyNft(script: string, options: { netns?: string } = {}): Promise<void> {
  const { status, stderr } = await run(['-f', '-'], script, options.netns);
  if (status !== 0) throw new NftError(`nft refused the rules: ${firstComplaint(stderr)}`);
}

/** `nft -j list …` as parsed JSON (the `nftables` array); undefined when the table or chain is not there. */
export async function listNft(
  what: string[],
  options: { netns?: string } = {},
): Promise<unknown[] | undefined> {
  const { status, stdout, stderr } = await run(['-j', 'list', ...what], '', options.netns);
  if (status !== 0) {
    if (stderr.includes('No such file or directory')) return undefined;
    throw new NftError(`nft list ${what.join(' ')}: ${firstComplaint(stderr)}`);
  }
  const { nftables } = JSON.parse(stdout) as { nftables: unknown[] };
  return nftables;
}

function run(args: string[], input: string, netns: string | undefined) {
  const [program, ...rest] =
    netns === undefined ? ['nft', ...args] : ['nsenter', `--net=${netns}`, 'nft', ...args];
  return new Promise<{ status: number | null; stdout: string; stderr: string }>((resolve, reject) => {
    const child = spawn(program!, rest, { stdio: ['pipe', 'pipe', 'pipe'] });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.on('error', (error: NodeJS.ErrnoException) => {
      const missing = error.code === 'ENOENT';
      reject(
        new NftError(missing ? `${program} is not installed: install the package nftables` : error.message),
      );
    });
    child.on('close', status => resolve({ status, stdout, stderr }));
    child.stdin.on('error', () => {}); // it ended before it read all; its status tells
    child.stdin.end(input);
  });
}

/** nft writes `/dev/stdin:3:5-8: Error: syntax error, …`, then the line and carets. */
function firstComplaint(stderr: string): string {
  const line = stderr.split('\n').find(text => text.includes('Error:')) ?? stderr.trim();
  const at = /^\/dev\/stdin:(\d+):[^ ]* Error: (.*)$/.exec(line);
  return at ? `line ${at[1]}: ${at[2]}` : line || 'it gave no reason';
}
