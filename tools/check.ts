/** All static checks side by side; prints the output of those that fail. `npm run check`. */
import { spawn } from 'node:child_process';

const checks: Record<string, string[]> = {
  types: ['tsc', '--noEmit'],
  lint: ['biome', 'check', '--error-on-warnings', '.'],
  rooms: ['node', 'tools/rooms.ts'],
  unused: ['knip'],
};

const failed = await Promise.all(Object.entries(checks).map(([name, command]) => run(name, command)));
process.exitCode = failed.some(Boolean) ? 1 : 0;

function run(name: string, [program = '', ...args]: string[]): Promise<boolean> {
  return new Promise(resolve => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const output: Buffer[] = [];
    child.stdout.on('data', chunk => output.push(chunk));
    child.stderr.on('data', chunk => output.push(chunk));
    child.on('error', error => output.push(Buffer.from(`${error.message}\n`)));
    child.on('close', code => {
      console.log(`${code === 0 ? 'ok  ' : 'FAIL'} ${name}`);
      if (code !== 0) process.stdout.write(Buffer.concat(output));
      resolve(code !== 0);
    });
  });
}
