/** What a lab could leave behind on the machine, to be compared before and after. */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';

export interface MachineState {
  mounts: string[];
  links: string[];
  rules: string[];
  labFolders: string[];
  /** Of the lab of that name. */
  processes: string[];
}

export function machineState(labName: string): MachineState {
  const labs = '/var/lib/pellicle/lab';
  return {
    // Named network namespaces are other programs': a lab has none.
    mounts: lines(readFileSync('/proc/self/mounts', 'utf8')).filter(line => !line.startsWith('nsfs ')),
    links: lines(run('ip', ['-o', 'link'])).map(line => line.split(':')[1] ?? ''),
    rules: lines(run('nft', ['list', 'ruleset'])),
    labFolders: existsSync(labs) ? readdirSync(labs).filter(name => name.startsWith(labName)) : [],
    processes: processesOf(labName),
  };
}

/** What is there now and was not before. */
export function additions(before: MachineState, now: MachineState): string[] {
  const keys = Object.keys(before) as (keyof MachineState)[];
  return keys.flatMap(key => now[key].filter(entry => !before[key].includes(entry)));
}

function lines(text: string): string[] {
  return text.split('\n').filter(line => line !== '');
}

/** Processes whose command line names the lab's state folder. */
export function processesOf(labName: string): string[] {
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .map(pid => commandLine(pid))
    .filter(line => line.includes(`/pellicle/lab/${labName}`) || line.includes(`--node ${labName}-`));
}

/** Pid, as this machine counts, of a program of the lab. */
export function findProgram(program: string, argument: string): number | undefined {
  const pid = readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .find(each => {
      const line = commandLine(each);
      return line.includes(`/${program}.js `) && line.includes(argument) && !line.startsWith('sh ');
    });
  return pid === undefined ? undefined : Number(pid);
}

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    return '';
  }
}

export function run(program: string, args: string[], env: NodeJS.ProcessEnv = process.env): string {
  return execFileSync(program, args, {
    encoding: 'utf8',
    env,
    timeout: 60_000,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}
