import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import {
  elasticsearchYaml,
  isOpenToAll,
  jvmOptions,
  newestElasticsearch,
} from '../../stack/elasticsearch-part.ts'
import { kafkaVersion, s3proxyVersion } from '../../stack/fetch.ts'
import { chooseJava, featureRelease, javaAt, versionIn } from '../../stack/java.ts'
import { kafkaProperties } from '../../stack/kafka-part.ts'
import { errorLine, portTaken } from '../../stack/part.ts'
import {
  pointsElsewhere,
  readSavedSettings,
  resolveSettings,
  settingsFile,
} from '../../stack/settings.ts'
import { checkMemory, openStack } from '../../stack/stack-control.ts'
import { StackError } from '../../stack/stack-error.ts'

function makeFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'archiver-stack-test-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

describe('the Java to use', () => {
  it('knows the feature release of every form of version', () => {
    const versions = {
      '17.0.15': 17,
      '25': 25,
      '21-ea': 21,
      '1.8.0_412': 8,
      '25.0.1+8-LTS': 25,
      x: undefined,
    }
    for (const [version, release] of Object.entries(versions))
      assert.equal(featureRelease(version), release, version)
  })

  it('reads the version from a release file and from what the program prints', () => {
    assert.equal(versionIn('IMPLEMENTOR="x"\nJAVA_VERSION="17.0.15"\n'), '17.0.15')
    assert.equal(versionIn('openjdk version "25.0.1" 2025-10-21\nOpenJDK Runtime…'), '25.0.1')
    assert.equal(
      versionIn('The operation couldn’t be completed. Unable to locate a Java Runtime.'),
      undefined,
    )
  })

  it('asks the program if there is no release file', (t) => {
    const home = makeFolder(t)
    assert.equal(javaAt(home), undefined)
    mkdirSync(join(home, 'bin'))
    writeFileSync(
      join(home, 'bin', 'java'),
      '#!/bin/sh\necho \'openjdk version "21.0.2" 2024-01-16\' >&2\n',
    )
    chmodSync(join(home, 'bin', 'java'), 0o755)
    assert.deepEqual(javaAt(home), { home, version: 21 })
  })

  it('is the first that is new enough, and a message says what was found instead', () => {
    const javas = [
      { home: '/jdk17', version: 17 },
      { home: '/jdk21', version: 21 },
      { home: '/jdk25', version: 25 },
    ]
    assert.equal(chooseJava(javas, 17, 'Kafka').home, '/jdk17')
    assert.equal(chooseJava(javas, 21, 'Elasticsearch').home, '/jdk21')
    assert.throws(() => chooseJava(javas.slice(0, 1), 21, 'Elasticsearch 9.5.3'), {
      name: 'StackError',
      message:
        /^Elasticsearch 9\.5\.3 needs Java 21 or newer; found only 17 in \/jdk17\. .*JAVA_HOME.*docker compose up/,
    })
    assert.throws(() => chooseJava([], 17, 'Kafka'), /needs Java 17 or newer; none was found/)
  })

  it('decides the version of Elasticsearch', () => {
    assert.equal(newestElasticsearch([{ home: '/jdk17', version: 17 }]), '8.19.21')
    assert.equal(newestElasticsearch([{ home: '/jdk25', version: 25 }]), '9.5.3')
  })
})

describe('the settings of a stack', () => {
  const defaultVersion = () => '9.5.3' as const

  it('derive the second port of each part from the first', () => {
    const settings = resolveSettings(
      { kafkaPort: 19092, elasticsearchPort: 19200 },
      {},
      defaultVersion,
    )
    assert.equal(settings.controllerPort, 19093)
    assert.equal(settings.transportPort, 19300)
  })

  it('are what was asked for, else what the folder remembers, else the default', () => {
    const saved = {
      kafkaPort: 1111,
      controllerPort: 3333,
      elasticsearchPort: 2222,
      elasticsearchVersion: '8.19.21',
    } as const
    const remembered = resolveSettings({ elasticsearchPort: 4444 }, saved, defaultVersion)
    assert.equal(remembered.kafkaPort, 1111)
    assert.equal(remembered.controllerPort, 3333)
    assert.equal(remembered.elasticsearchPort, 4444)
    assert.equal(remembered.elasticsearchVersion, '8.19.21')
    assert.equal(resolveSettings({}, {}, defaultVersion).kafkaPort, 9092)
    assert.equal(resolveSettings({}, {}, defaultVersion).s3Port, 9000)
    assert.equal(resolveSettings({}, { s3Port: 9001 }, defaultVersion).s3Port, 9001)
    // A controller port that belonged to another Kafka port says nothing about this one.
    assert.equal(resolveSettings({ kafkaPort: 5000 }, saved, defaultVersion).controllerPort, 5001)
  })

  it('share the downloads between folders', () => {
    const { cacheDir: one } = resolveSettings({ dir: '.stack' }, {}, defaultVersion)
    const { cacheDir: other } = resolveSettings({ dir: '.stack-test' }, {}, defaultVersion)
    assert.equal(one, other)
  })

  it('are refused by name where their file is broken', (t) => {
    const dir = makeFolder(t)
    assert.deepEqual(readSavedSettings(dir), {})
    writeFileSync(settingsFile(dir), '{')
    assert.throws(() => readSavedSettings(dir), {
      name: 'StackError',
      message: /stack\.json cannot be read/,
    })
  })

  it('tell servers elsewhere from our own', () => {
    const ports = { kafkaPort: 9092, elasticsearchPort: 9200 }
    const elsewhere = (brokers?: string, elasticsearch?: string) =>
      pointsElsewhere({ ARCHIVER_BROKERS: brokers, ARCHIVER_ELASTICSEARCH: elasticsearch }, ports)
    assert.equal(elsewhere('kafka:9092', 'http://elasticsearch:9200'), true)
    assert.equal(elsewhere('localhost:19092', 'http://localhost:19200'), true)
    assert.equal(elsewhere('kafka:9092', 'http://localhost:9200'), false)
    assert.equal(elsewhere('a:9092, 127.0.0.1:9092', 'http://elasticsearch:9200'), false)
    assert.equal(elsewhere('kafka:9092', 'https://elastic:secret@127.0.0.1:9200/'), false)
    assert.equal(elsewhere('kafka:9092'), false)
    assert.equal(elsewhere(), false)
  })
})

describe('the configuration', () => {
  it('of Kafka listens on the chosen ports, keeps history and creates no topic by accident', () => {
    const lines = kafkaProperties({ kafkaPort: 19092, controllerPort: 19093 }, 'C:\\stack').split(
      '\n',
    )
    const expected = [
      'listeners=PLAINTEXT://127.0.0.1:19092,CONTROLLER://127.0.0.1:19093',
      'advertised.listeners=PLAINTEXT://127.0.0.1:19092',
      'controller.quorum.voters=1@127.0.0.1:19093',
      'auto.create.topics.enable=false',
      'log.retention.ms=-1',
      'message.max.bytes=10485760',
      'log.dirs=C:\\\\stack',
    ]
    for (const line of expected) assert.ok(lines.includes(line), line)
  })

  it('of Elasticsearch has TLS only where security is asked for', () => {
    const ports = { elasticsearchPort: 19200, transportPort: 19300 }
    const folders = { data: '/s/data "x"', logs: '/s/logs' }
    const open = elasticsearchYaml({ ...ports, security: false }, folders)
    assert.match(open, /^http\.port: 19200$/m)
    assert.match(open, /^transport\.port: 19300$/m)
    assert.match(open, /^path\.data: "\/s\/data \\"x\\""$/m)
    assert.match(open, /^xpack\.security\.enabled: false$/m)
    assert.doesNotMatch(open, /ssl/)
    assert.match(
      elasticsearchYaml({ ...ports, security: true }, folders),
      /^xpack\.security\.http\.ssl\.enabled: true$/m,
    )
  })

  it('keeps the options of the distribution that its JVM needs, and drops what writes beside it', () => {
    const kept = jvmOptions(
      '# comment\n\n-XX:+UseG1GC\n20-:--add-modules=x\n-Xlog:gc*:file=gc.log\n-XX:ErrorFile=hs.log\n',
    )
    assert.equal(kept, '-XX:+UseG1GC\n20-:--add-modules=x\n')
  })

  it('pins a version of Kafka and of S3Proxy', () => {
    for (const version of [kafkaVersion(), s3proxyVersion()])
      assert.match(version, /^\d+\.\d+\.\d+$/)
  })
})

describe('what a person reads when something is wrong', () => {
  it('names the port, the option that moves it and the other way', () => {
    assert.equal(
      portTaken('Kafka 4.1.0', { port: 9092, flag: '--kafka-port' }),
      'Port 9092, which Kafka 4.1.0 needs, is taken by another program. Stop that, choose another with --kafka-port, or use "docker compose up" instead',
    )
  })

  it('is the root cause of a start that failed, not its announcement', () => {
    const log = [
      '2026-01-01 INFO  [Kafka] starting',
      '2026-01-01 ERROR [Kafka] Exiting Kafka due to fatal exception',
      "java.lang.RuntimeException: Stored node id 7 doesn't match previous node id 1",
      '\tat kafka.Kafka.main(Kafka.scala)',
      'Caused by: java.io.IOException: the disk is gone',
      '\t... 3 more',
      '2026-01-01 INFO  [Kafka] shut down',
    ].join('\n')
    assert.equal(errorLine(log), 'Caused by: java.io.IOException: the disk is gone')
    assert.equal(errorLine('WARNING: Unknown module\n2026 INFO fine'), undefined)
  })

  it('says how much memory is needed and there', () => {
    const { kafka, elasticsearch } = openStack({
      elasticsearchVersion: '9.5.3',
      kafkaHeap: 2 ** 29,
      elasticsearchHeap: 2 ** 30,
    })
    assert.throws(
      () => checkMemory([kafka, elasticsearch], 2 ** 30),
      (error) =>
        error instanceof StackError &&
        /need about 2336 MiB, 1024 MiB are available.*docker compose up/.test(error.message),
    )
    checkMemory([kafka, elasticsearch], 4 * 2 ** 30)
    checkMemory([], 0)
  })

  it('knows a folder that another user may not enter', (t) => {
    const folder = makeFolder(t)
    chmodSync(folder, 0o755)
    assert.equal(isOpenToAll(join(folder, 'not', 'yet')), true)
    chmodSync(folder, 0o700)
    assert.equal(isOpenToAll(join(folder, 'not', 'yet')), false)
  })
})
