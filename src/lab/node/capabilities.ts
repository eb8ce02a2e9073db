/** Linux capabilities of containers (capabilities(7)), with containerd's default set. */
import type { SecurityContext } from '../../kube/core.ts';

/** What a container has when nothing is said. */
const defaults = [
  ...['CHOWN', 'DAC_OVERRIDE', 'FSETID', 'FOWNER', 'MKNOD', 'NET_RAW', 'SETGID', 'SETUID', 'SETFCAP'],
  ...['SETPCAP', 'NET_BIND_SERVICE', 'SYS_CHROOT', 'KILL', 'AUDIT_WRITE'],
];

/** By their numbers in linux/capability.h. */
const byNumber = [
  ...['CHOWN', 'DAC_OVERRIDE', 'DAC_READ_SEARCH', 'FOWNER', 'FSETID', 'KILL', 'SETGID', 'SETUID', 'SETPCAP'],
  ...[
    'LINUX_IMMUTABLE',
    'NET_BIND_SERVICE',
    'NET_BROADCAST',
    'NET_ADMIN',
    'NET_RAW',
    'IPC_LOCK',
    'IPC_OWNER',
  ],
  ...[
    'SYS_MODULE',
    'SYS_RAWIO',
    'SYS_CHROOT',
    'SYS_PTRACE',
    'SYS_PACCT',
    'SYS_ADMIN',
    'SYS_BOOT',
    'SYS_NICE',
  ],
  ...[
    'SYS_RESOURCE',
    'SYS_TIME',
    'SYS_TTY_CONFIG',
    'MKNOD',
    'LEASE',
    'AUDIT_WRITE',
    'AUDIT_CONTROL',
    'SETFCAP',
  ],
  ...['MAC_OVERRIDE', 'MAC_ADMIN', 'SYSLOG', 'WAKE_ALARM', 'BLOCK_SUSPEND', 'AUDIT_READ', 'PERFMON', 'BPF'],
  'CHECKPOINT_RESTORE',
];
const all = byNumber;

/**
 * `CAP_…` names. Throws a sentence for a capability that does not exist; one that the machine itself lacks is left out,
 * as other runtimes do.
 */
export function capabilitiesOf(context: SecurityContext | undefined, machine: string[] = all): string[] {
  if (context?.privileged) return named(machine);
  const { add = [], drop = [] } = context?.capabilities ?? {};
  const added = add.map(bare);
  const dropped = drop.map(bare);
  for (const name of [...added, ...dropped]) {
    if (name !== 'ALL' && !all.includes(name)) throw new Error(`unknown capability "CAP_${name}"`);
  }
  const base = added.includes('ALL') ? all : dropped.includes('ALL') ? [] : defaults;
  const kept = base.filter(name => !dropped.includes(name));
  const wanted = [...kept, ...added.filter(name => name !== 'ALL')];
  return named([...new Set(wanted)].filter(name => machine.includes(name)));
}

/** What a mask of capability bits holds, e.g. `CapBnd` in /proc/self/status (hexadecimal). */
export function capabilitiesInMask(mask: string): string[] {
  const bits = BigInt(`0x${mask}`);
  return byNumber.filter((_, number) => (bits >> BigInt(number)) & 1n);
}

function bare(name: string): string {
  return name.toUpperCase().replace(/^CAP_/, '');
}

function named(capabilities: string[]): string[] {
  return capabilities.map(name => `CAP_${name}`);
}
