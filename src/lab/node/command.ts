/** Runs a program to its end. */
import { spawn } from 'node:child_process';

export interface CommandResult {
  code: number;
  stdout: string;
  stderr: string;
}

export interface CommandOptions {
  input?: string;
  env?: NodeJS.ProcessEnv;
  timeoutMs?: number;
}

const mostOutput = 4 << 20;

/** Resolves whatever the exit code; 127 when it cannot be started, 124 when it was killed at the time limit. */
export function runCommand(
  program: string,
  args: string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  return new Promise(resolve => {
    const child = spawn(program, args, {
      stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
      ...(options.env && { env: options.env }),
    });
    const output = { stdout: '', stderr: '' };
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      child.kill('SIGKILL');
    }, options.timeoutMs ?? 30_000);
    for (const name of ['stdout', 'stderr'] as const) {
      child[name]!.setEncoding('utf8').on('data', (text: string) => {
        if (output[name].length < mostOutput) output[name] += text;
      });
    }
    child.stdin?.on('error', () => {}).end(options.input);
    child.on('error', error => {
      clearTimeout(timer);
      resolve({ code: 127, ...output, stderr: `${program}: ${error.message}` });
    });
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      if (late) resolve({ code: 124, ...output, stderr: `${output.stderr}${program} took too long` });
      else resolve({ code: code ?? 128 + (signalNumbers[signal ?? ''] ?? 0), ...output });
    });
  });
}

const signalNumbers: Record<string, number> = { SIGHUP: 1, SIGINT: 2, SIGQUIT: 3, SIGKILL: 9, SIGTERM: 15 };

/** As runCommand, but a failure is thrown with what the program said. */
export async function mustRun(
  program: string,
  args: string[],
  options: CommandOptions = {},
): Promise<string> {
  const { code, stdout, stderr } = await runCommand(program, args, options);
  if (code !== 0) throw new Error(stderr.trim() || `${program} ended with ${code}`);
  return stdout;
}
