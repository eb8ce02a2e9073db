/**
 * The images that exist in a lab. None is downloaded: each is a thin layer over the machine's own root file system,
 * with the entry point and the environment that people know from the image of that name.
 */
import { fullName, type ImageReference, parseReference, shortName } from './reference.ts';

export interface ImageConfig {
  entrypoint: string[];
  cmd: string[];
  env: Record<string, string>;
  workdir: string;
  /** Numeric. */
  user?: { uid: number; gid: number };
}

export interface Image {
  /** `docker.io/nicolaka/netshoot` */
  repository: string;
  config: ImageConfig;
  layer: LayerContent;
}

/** What an image's own layer holds. Paths are absolute, inside the container. */
export interface LayerContent {
  folders: string[];
  /** Executable shell scripts. */
  scripts: Record<string, string>;
  files: Record<string, string>;
  /** Name of one of the project's programs in dist/, by the path where the container calls it. */
  programs: Record<string, string>;
  /** Path below the project's root of a file that is copied in. */
  copies: Record<string, string>;
  /** Whether small tools that the machine lacks (nslookup, wget, nc …) are busybox's, where the machine has that. */
  applets: boolean;
}

const path = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

const catalog: Image[] = [
  image('docker.io/nicolaka/netshoot', { cmd: ['bash'], workdir: '/root' }, { applets: true }),
  image('docker.io/library/busybox', { cmd: ['sh'] }, { applets: true }),
  image('docker.io/library/alpine', { cmd: ['/bin/sh'] }, { applets: true }),
  image('docker.io/library/debian', { cmd: ['bash'] }),
  image(
    'docker.io/curlimages/curl',
    {
      entrypoint: ['/entrypoint.sh'],
      cmd: ['curl'],
      workdir: '/home/curl_user',
      user: { uid: 100, gid: 101 },
    },
    {
      applets: true,
      folders: ['/home/curl_user'],
      scripts: {
        '/entrypoint.sh': `case $1 in -*) set -- curl "$@" ;; esac\ncommand -v "$1" >/dev/null || set -- curl "$@"\nexec "$@"\n`,
      },
    },
  ),
  image('quay.io/cilium/alpine-curl', { cmd: ['/bin/sh'] }, { applets: true }),
  image(
    'docker.io/library/nginx',
    { entrypoint: ['/docker-entrypoint.sh'], cmd: ['nginx', '-g', 'daemon off;'] },
    {
      folders: ['/usr/share/nginx/html', '/etc/nginx/conf.d'],
      files: { '/usr/share/nginx/html/index.html': welcomePage() },
      scripts: { '/docker-entrypoint.sh': 'exec "$@"\n' },
      programs: { '/usr/sbin/nginx': 'lab-httpd nginx' },
    },
  ),
  image(
    'registry.k8s.io/pause',
    { entrypoint: ['/pause'] },
    { scripts: { '/pause': 'exec sleep infinity\n' } },
  ),
  image(
    'registry.k8s.io/coredns/coredns',
    { entrypoint: ['/coredns'] },
    { programs: { '/coredns': 'lab-dns' } },
  ),
  image(
    'quay.io/cilium/starwars',
    { entrypoint: ['/starwars'] },
    { programs: { '/starwars': 'lab-httpd starwars' } },
  ),
  image(
    'docker.io/tgraf/netperf',
    { cmd: ['netserver', '-D'] },
    {
      scripts: {
        '/usr/local/bin/netserver':
          '[ ! -x /usr/bin/netserver ] || exec /usr/bin/netserver "$@"\nexec sleep infinity\n',
      },
    },
  ),
  ...['docker.io/cilium/json-mock', 'quay.io/cilium/json-mock'].map(name =>
    image(name, { entrypoint: ['/json-mock'] }, { programs: { '/json-mock': 'lab-httpd json-mock' } }),
  ),
  image(
    'docker.io/pellicle/cilium',
    { cmd: ['bash'], workdir: '/home/cilium' },
    {
      folders: ['/home/cilium', '/var/lib/cilium', '/etc/cilium'],
      programs: {
        '/usr/bin/cilium-agent': 'cilium-agent',
        '/usr/bin/cilium': 'cilium-dbg',
        '/usr/bin/cilium-dbg': 'cilium-dbg',
        '/usr/bin/pellicle-engine': 'pellicle-engine',
      },
      copies: {
        '/opt/cni/bin/cilium-cni': 'build/cilium-cni',
        '/usr/bin/cilium-engine-init': 'deploy/image/cilium-engine-init',
      },
    },
  ),
  image(
    'docker.io/pellicle/operator',
    { entrypoint: ['cilium-operator'], workdir: '/' },
    { programs: { '/usr/bin/cilium-operator': 'cilium-operator' } },
  ),
];

export const images: readonly Image[] = catalog;

export type Resolved =
  | { image: Image; reference: ImageReference; name: string }
  | { problem: string; reason: 'ErrImagePull' | 'InvalidImageName' };

/** Finds the image of a pod's `image:`; any tag or digest will do. The problem names those that exist. */
export function resolveImage(text: string): Resolved {
  const reference = parseReference(text);
  if (reference === undefined) {
    return {
      reason: 'InvalidImageName',
      problem: `Failed to apply default image tag "${text}": couldn't parse image name "${text}": invalid reference format`,
    };
  }
  const found = catalog.find(each => each.repository === reference.repository);
  if (found) return { image: found, reference, name: fullName(reference) };
  const names = catalog.map(each => shortName(each.repository)).join(', ');
  return {
    reason: 'ErrImagePull',
    problem: `image "${text}" is not in this lab, which downloads none; the images that exist, with any tag: ${names}`,
  };
}

/** A file-system-safe name for an image's folder. */
export function imageFolder(image: Image): string {
  return image.repository.replaceAll('/', '_');
}

function image(repository: string, config: Partial<ImageConfig>, layer: Partial<LayerContent> = {}): Image {
  return {
    repository,
    config: { entrypoint: [], cmd: [], workdir: '/', ...config, env: { PATH: path, ...config.env } },
    layer: { folders: [], scripts: {}, files: {}, programs: {}, copies: {}, applets: false, ...layer },
  };
}

function welcomePage(): string {
  return `<!DOCTYPE html>
<html>
<head>
<title>Welcome to nginx!</title>
</head>
<body>
<h1>Welcome to nginx!</h1>
<p>This page is served by the lab's own small web server, in the place of nginx.</p>
</body>
</html>
`;
}
