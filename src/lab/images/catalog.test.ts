import assert from 'node:assert/strict';
import { test } from 'node:test';
import { images, resolveImage } from './catalog.ts';
import { parseReference } from './reference.ts';

test('references are read as Docker reads them', () => {
  assert.deepEqual(parseReference('nginx'), { repository: 'docker.io/library/nginx' });
  assert.deepEqual(parseReference('nicolaka/netshoot:v0.13'), {
    repository: 'docker.io/nicolaka/netshoot',
    tag: 'v0.13',
  });
  assert.deepEqual(parseReference('localhost:5000/x/y:1'), { repository: 'localhost:5000/x/y', tag: '1' });
  const digest = `sha256:${'a'.repeat(64)}`;
  assert.deepEqual(parseReference(`quay.io/cilium/starwars:v2@${digest}`), {
    repository: 'quay.io/cilium/starwars',
    tag: 'v2',
    digest,
  });
  for (const bad of ['', 'Nginx', 'a//b', 'nginx:', 'nginx@sha256:1', 'a b']) {
    assert.equal(parseReference(bad), undefined, bad);
  }
});

test('any spelling and tag of an image finds it; an unknown one is told with those that exist', () => {
  for (const name of ['nginx', 'docker.io/library/nginx:1.27', 'library/nginx', 'index.docker.io/nginx']) {
    const found = resolveImage(name);
    assert.ok('image' in found && found.image.repository === 'docker.io/library/nginx', name);
  }
  const unknown = resolveImage('redis:7');
  assert.ok('problem' in unknown && unknown.reason === 'ErrImagePull');
  for (const name of [
    'nginx',
    'busybox',
    'nicolaka/netshoot',
    'quay.io/cilium/starwars',
    'pellicle/cilium',
  ]) {
    assert.ok(unknown.problem.includes(name));
  }
  const bad = resolveImage('Nginx');
  assert.ok('problem' in bad && bad.reason === 'InvalidImageName');
});

test('names are unique', () => {
  assert.equal(new Set(images.map(image => image.repository)).size, images.length);
});
