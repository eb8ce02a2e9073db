/** The shell programs that are PID 1: of the lab (holds its network), and of each node (a machine in miniature). */
import { cluster, type LabNode, type LabOptions, type LabPaths, network } from './layout.ts';
import { marker } from './processes.ts';
import type { Project } from './project.ts';

/** `unshare` with the holder of the lab's network and PID namespaces. `script` holds `holderScript`. */
export function holderCommand(paths: LabPaths, script: string): string[] {
  return [
    ...['unshare', '--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc'],
    ...['sh', '-e', script, marker, paths.state, 'holder'],
  ];
}

/** Starts a node's init inside the holder's PID namespace. `script` holds `nodeScript`. */
export function nodeCommand(paths: LabPaths, node: LabNode, holder: number, script: string): string[] {
  return [
    ...['nsenter', '-t', String(holder), '--pid', '--mount'],
    ...['unshare', '--net', '--mount', '--uts', '--ipc', '--pid', '--cgroup'],
    ...['--fork', '--kill-child', '--mount-proc'],
    ...['sh', '-e', script, marker, paths.state, node.name],
  ];
}

/** The nodes' disks are in the holder's memory: they outlive a node, and go with the lab. */
export const holderScript = `
mount -t sysfs sysfs /sys
mkdir -p "$2/disks"
mount -t tmpfs -o mode=700 ${marker} "$2/disks"
trap '' HUP INT TERM
while :; do sleep infinity & wait $! || :; done
`;

/** Where a node has its own files instead of the machine's. */
const foldersOnDisk = ['root', 'home', 'mnt', 'var/tmp', 'var/log', 'var/lib/pellicle', 'var/lib/kubelet'];

export function nodeScript(
  { options, paths, project }: { options: LabOptions; paths: LabPaths; project: Project },
  node: LabNode,
): string {
  const q = shellQuote;
  const own = `${paths.nodes}/${node.name}`;
  const main = node.role === 'control-plane';
  const run = (name: string, args: string[], flags: string[] = []) =>
    `respawn ${name} ${[project.node, ...nodeFlags, ...flags, `${project.root}/dist/${name}.js`, ...args].map(q).join(' ')} &`;
  return `
hostname ${q(node.name)}
umask 022
disk="$2/disks/$3"
mkdir -p "$disk/upper" "$disk/work"
mount -t tmpfs -o mode=755 ${marker} /run
mkdir /run/root
mount -t overlay overlay -o lowerdir=/,upperdir="$disk/upper",workdir="$disk/work" /run/root
cd /run/root
for d in run tmp; do mkdir -p $d; mount -t tmpfs -o mode=755 ${marker} $d; done
for d in ${foldersOnDisk.join(' ')}; do mkdir -p $d "$disk/$d"; mount --bind "$disk/$d" $d; done
chmod 1777 tmp var/tmp; chmod 700 root
mkdir -p run/lock run/netns run/pellicle-lab/host run/pellicle-lab/images etc/kubernetes var/log/pellicle var/log/pods
mkdir -p etc/cni/net.d opt/cni/bin run/cilium
cp /proc/sys/kernel/random/uuid run/pellicle-lab/boot-id
mount --bind / run/pellicle-lab/host
mount -o remount,bind,ro run/pellicle-lab/host
mount --rbind /dev dev
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts
mount -t tmpfs -o mode=1777 shm dev/shm
mount -t proc proc proc
mount --bind run/pellicle-lab/boot-id proc/sys/kernel/random/boot_id
mount -o remount,bind,ro proc/sys/kernel/random/boot_id
mount -t sysfs sysfs sys
mount -t tmpfs -o mode=755 ${marker} sys/fs/cgroup
mount -t cgroup2 cgroup2 sys/fs/cgroup
share() { mkdir -p ".$2"; mount --bind "$1" ".$2"; [ "$3" = rw ] || mount -o remount,bind,ro ".$2"; }
${project.mounts.map(path => `share ${q(path)} ${q(path)} ro`).join('\n')}
share ${q(own)} /etc/kubernetes ro
share ${q(paths.images)} /run/pellicle-lab/images ro
share ${q(`${paths.logs}/${node.name}`)} /var/log/pellicle rw
${main ? `share ${q(paths.state)} ${q(paths.state)} rw` : ''}
echo 'nameserver ${network.dns}' > run/resolv.conf
rm -f etc/resolv.conf etc/hostname etc/hosts
cp run/resolv.conf etc/resolv.conf
echo ${q(node.name)} > etc/hostname
printf '%s\\n' '127.0.0.1 localhost' '::1 localhost ip6-localhost ip6-loopback' ${q(`${node.addresses[0]} ${node.name}`)} > etc/hosts
mkdir -p run/old
pivot_root . run/old
cd /
umount -l /run/old
rmdir /run/old
mount --make-rshared /
ip link set lo up
echo 1 > /proc/sys/net/ipv4/ip_forward
[ ! -d /proc/sys/net/ipv6 ] || echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
set +e
ulimit -n 1048576 2>/dev/null
export HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export NODE_EXTRA_CA_CERTS= NODE_OPTIONS=
trap '' HUP INT TERM
respawn() {
  name=$1; shift
  while :; do
    began=$(date +%s)
    "$@" >>/var/log/pellicle/$name.log 2>&1 </dev/null
    code=$?
    echo "$(date -u +%FT%TZ) $name ended with $code, starting it again" >>/var/log/pellicle/$name.log
    [ $(($(date +%s) - began)) -ge 5 ] || sleep 1
  done
}
touch /run/pellicle-lab/ready
until ip -4 route show default | grep -q .; do sleep 0.05; done
${
  main
    ? [
        run('lab-apiserver', [
          ...['--data', paths.database, '--pki', paths.pki],
          ...['--listen', `${node.addresses[0]}:6443`, '--advertise', node.addresses[0]!],
          ...['--service-cidr', ranges(options, cluster.serviceCidr, cluster.serviceCidr6)],
        ]),
        run('lab-controllers', [
          ...['--kubeconfig', `${paths.pki}/controllers.conf`],
          ...['--cluster-cidr', podCidrs(options)],
        ]),
      ].join('\n')
    : ''
}
${run('lab-kubelet', [
  ...['--node', node.name, '--kubeconfig', '/etc/kubernetes/kubelet.conf', '--pki', '/etc/kubernetes'],
  ...['--images', '/run/pellicle-lab/images', '--root', '/var/lib/kubelet'],
  ...['--node-ip', node.addresses.join(',')],
  ...(options.workers === 0 ? ['--alone'] : []),
])}
while :; do wait; done
`;
}

export function podCidrs(options: LabOptions): string {
  return [cluster.podCidr, ...(options.ipFamily === 'dual' ? [cluster.podCidr6] : [])].join(',');
}

function ranges({ ipFamily }: LabOptions, first: string, second: string): string {
  return ipFamily === 'dual' ? `${first},${second}` : first;
}

/** Small heaps, and no source maps (40 MB a process): a machine runs many of these programs. */
const nodeFlags = ['--disable-warning=ExperimentalWarning', '--max-semi-space-size=2', '--optimize-for-size'];

export function shellQuote(text: string): string {
  return /^[\w./:,=@%+-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
