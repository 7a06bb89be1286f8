"""Which operation a Redis command is: one of a closed list, since arguments may be secrets or keys."""

from __future__ import annotations

OTHER = "other"
"""Any command that is not in the list."""

# From COMMAND of Valkey 9.1 and Redis 7.0, and the commands of redis-py 8 (modules included).
_NAMES = """
acl append arcount ardel ardelrange arget argetrange argrep arinfo arinsert arlastitems arlen armget
armset arnext arop arring arscan arseek arset asking auth bf.add bf.card bf.exists bf.info bf.insert
bf.loadchunk bf.madd bf.mexists bf.reserve bf.scandump bgrewriteaof bgsave bitcount bitfield bitfield_ro
bitop bitpos blmove blmovem blmpop blpop brpop brpoplpush bzmpop bzpopmax bzpopmin cf.add cf.addnx
cf.count cf.del cf.exists cf.info cf.insert cf.insertnx cf.loadchunk cf.mexists cf.reserve cf.scandump
client cluster clusterscan cms.incrby cms.info cms.initbydim cms.initbyprob cms.merge cms.query command
commandlog config copy dbsize debug decr decrby del delifeq digest discard dump echo eval eval_ro evalsha
evalsha_ro exec exists expire expireat expiretime failover fcall fcall_ro flushall flushdb ft._list ft.add
ft.addhash ft.aggregate ft.aliasadd ft.aliasdel ft.aliaslist ft.aliasupdate ft.alter ft.config ft.create
ft.cursor ft.del ft.dictadd ft.dictdel ft.dictdump ft.drop ft.dropindex ft.explain ft.explaincli ft.hybrid
ft.info ft.mget ft.profile ft.search ft.spellcheck ft.sugadd ft.sugdel ft.sugget ft.suglen ft.synadd
ft.syndump ft.synupdate ft.tagvals function geoadd geodist geohash geopos georadius georadius_ro
georadiusbymember georadiusbymember_ro geosearch geosearchstore get getbit getdel getex getrange getset
hdel hello hexists hexpire hexpireat hexpiretime hget hgetall hgetdel hgetex hincrby hincrbyfloat hkeys
hlen hmget hmset hotkeys hpersist hpexpire hpexpireat hpexpiretime hpttl hrandfield hscan hset hsetex
hsetnx hstrlen httl hvals incr incrby incrbyfloat increx info json.arrappend json.arrindex json.arrinsert
json.arrlen json.arrpop json.arrtrim json.clear json.debug json.del json.get json.merge json.mget
json.mset json.numincrby json.nummultby json.objkeys json.objlen json.resp json.set json.strappend
json.strlen json.toggle json.type keys lastsave latency lcs lindex linsert llen lmove lmovem lmpop lolwut
lpop lpos lpush lpushx lrange lrem lset ltrim memory mget migrate module monitor move mset msetex msetnx
multi object persist pexpire pexpireat pexpiretime pfadd pfcount pfdebug pfmerge pfselftest ping psetex
psubscribe psync pttl publish pubsub punsubscribe quit randomkey readonly readwrite rename renamenx
replconf replicaof reset restore restore-asking role rpop rpoplpush rpush rpushx sadd save scan scard
script sdiff sdiffcard sdiffstore select sentinel set setbit setex setnx setrange shutdown sinter
sintercard sinterstore sismember slaveof slowlog smembers smismember smove sort sort_ro spop spublish
srandmember srem sscan ssubscribe stralgo strlen subscribe substr sunion sunioncard sunionstore
sunsubscribe swapdb sync tdigest.add tdigest.byrank tdigest.byrevrank tdigest.cdf tdigest.create
tdigest.info tdigest.max tdigest.merge tdigest.min tdigest.quantile tdigest.rank tdigest.reset
tdigest.revrank time topk.add topk.count topk.incrby topk.info topk.list topk.query topk.reserve touch
ts.add ts.alter ts.create ts.createrule ts.decrby ts.del ts.deleterule ts.get ts.incrby ts.info ts.madd
ts.mget ts.mrange ts.mrevrange ts.nrange ts.nrevrange ts.queryindex ts.querylabels ts.range ts.read
ts.revrange ttl type unlink unsubscribe unwatch vadd vcard vdim vemb vgetattr vinfo vlinks vrandmember
vrange vrem vsetattr vsim wait waitaof watch xack xackdel xadd xautoclaim xcfgset xclaim xdel xdelex
xgroup xinfo xlen xnack xpending xrange xread xreadgroup xrevrange xsetid xtrim zadd zcard zcount zdiff
zdiffstore zincrby zinter zintercard zinterstore zlexcount zmpop zmscore zpopmax zpopmin zrandmember
zrange zrangebylex zrangebyscore zrangestore zrank zrem zremrangebylex zremrangebyrank zremrangebyscore
zrevrange zrevrangebylex zrevrangebyscore zrevrank zscan zscore zunion zunionstore
"""
# Commands that redis-py sends as two words, such as CONFIG GET.
_FURTHER = """
acl: cat deluser dryrun genpass getuser help list load log save setuser users whoami
client: caching capa getname getredir help id import-source info kill list no-evict no-touch pause reply
setinfo setname tracking trackinginfo unblock unpause
cluster: addslots addslotsrange bumpepoch cancelslotmigrations count-failure-reports countkeysinslot
delslots delslotsrange failover flushslot flushslots forget getkeysinslot getslotmigrations help info
keyslot links meet migrateslots myid myshardid nodes replicas replicate reset saveconfig set-config-epoch
setslot shards slaves slot-stats slots syncslots
command: count docs getkeys getkeysandflags help info list
commandlog: get help len reset
config: get help resetstat rewrite set
debug: object
function: delete dump flush help kill list load restore stats
hotkeys: get reset stop
latency: doctor graph help histogram history latest reset
lolwut: version
memory: doctor help malloc-stats purge stats usage
module: help list load loadex unload
object: encoding freq help idletime refcount
pubsub: channels help numpat numsub shardchannels shardnumsub
script: debug exists flush help kill load show
sentinel: ckquorum failover flushconfig get-master-addr-by-name master masters monitor remove reset
sentinels set slaves
slowlog: get help len reset
xgroup: create createconsumer delconsumer destroy help setid
xinfo: consumers groups help stream
"""


def _subcommands() -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    words: set[str] = set()
    for word in _FURTHER.split():
        if word.endswith(":"):
            words = found.setdefault(word[:-1], set())
        else:
            words.add(word)
    return {name: frozenset(words) for name, words in found.items()}


_COMMANDS = frozenset(_NAMES.split())
_SUBCOMMANDS = _subcommands()


def operation(command: object) -> str:
    """The command's name in lower case, with its subcommand where it is given as one text; else ``other``.

    ``"CONFIG GET"`` is ``config get``; ``"AUTH secret"`` is ``auth``: a second word is part of the name only
    where the server has such a subcommand.
    """
    if isinstance(command, bytes | bytearray | memoryview):
        command = bytes(command[:64]).decode("ascii", "replace")
    if not isinstance(command, str):
        return OTHER
    name, *further = command[:64].lower().split(None, 2)[:2] or ("",)
    if name not in _COMMANDS:
        return OTHER
    if further and further[0] in _SUBCOMMANDS.get(name, ()):
        return f"{name} {further[0]}"
    return name


__all__ = ["OTHER", "operation"]
