"""One tenant's ``Registry`` on Redis: what its node and the stream tell it, and what a loss does to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from wsprism.adapters.redis.connection import RedisConnection
from wsprism.adapters.redis.control import ControlFollower
from wsprism.adapters.redis.listing import read_lost
from wsprism.adapters.redis.node_answers import NodeAnswers
from wsprism.adapters.redis.registry_calls import RegistryCalls, words_of
from wsprism.adapters.redis.revocations import Restoring
from wsprism.adapters.redis.scripts import script
from wsprism.adapters.redis.session_calls import revocable
from wsprism.adapters.redis.simple_call import SimpleCall
from wsprism.adapters.redis.tenant_calls import CallsNode, TenantCalls
from wsprism.policy.revocation import Revocation
from wsprism.policy.sessions import EvictReason
from wsprism.ports import Listed, RegistryListener, SessionKey, Unavailable

__all__ = ["RedisRegistry"]

_VERIFIED_AT_ONCE: Final = 500
_REVOCATIONS_AT_ONCE: Final = 500


class RedisRegistry(RegistryCalls):
    """``sessions`` are those that this node has opened and not closed; ``listener`` is set before the first.

    ``line`` is what publications go by: what a node answers goes behind all of its own that are under way.
    """

    def __init__(self, node: CallsNode, prefix: bytes, line: TenantCalls[Any]) -> None:
        super().__init__(node, prefix, ControlFollower(prefix, self, node.strange))
        self._answers = NodeAnswers(line)
        self._restoring = Restoring(node, prefix, self.known)
        self._revocations_behind: int | None = 0
        """None: this node has heard of all."""
        self._unsure: list[tuple[SessionKey, str]] = []
        """Who may have been taken out of which room."""
        self.listener: RegistryListener | None = None
        self._known_as = 0

    # What its node tells

    def up(self, desk: RedisConnection, line: RedisConnection, control_at: int) -> None:
        """There are connections and a lease; ``control_at`` is where the stream stood when that was taken."""
        if self._known_as == self.incarnation:
            self._go_on(desk, line)
            return

        def restored() -> None:
            self._begin_anew()
            self.follower.begin(control_at)
            self._revocations_behind = 0
            self._go_on(desk, line)

        self._restoring.begin(desk, restored)

    def _go_on(self, desk: RedisConnection, line: RedisConnection) -> None:
        self.connection = desk
        self._send_lines()
        self._pay()
        self.follower.up(line)
        unsure, self._unsure = self._unsure, []
        for key, room in unsure:
            self._put_out(key, room)
        self._answers.say()
        self._surveys.up()
        self._hear_revocations()

    def down(self) -> None:
        """They are lost."""
        self.connection = None
        self._restoring.stop()
        self.follower.down()
        self._surveys.down()
        self._give_up_unsent()
        self.count_no_more()

    # What its follower tells

    def control(self, fields: Sequence[bytes]) -> None:
        me = b"%d" % self.incarnation
        match fields:
            case [b"kick", node, user, sid, generation, reason, by] if node == me != by:
                key, why = SessionKey(user.decode(), sid.decode(), int(generation)), reason.decode()
                self._early.say(lambda: self._end(key, why))
            case [b"revoke", what, name, until, reason, said] if until.isdigit() and said.isdigit():
                revoked, listener, whose, until_s = revocable(what), self.listener, name.decode(), int(until) / 1000
                if revoked is not None:
                    self.known.told(revoked, whose, until_s, reason.decode(), int(said))
                if revoked is not None and listener is not None:
                    self._early.say(lambda: listener.revoked(revoked, whose, until_s))
            case [b"end", node, user, sid, generation, code, reason] if node == me and code.isdigit():
                ended, how = SessionKey(user.decode(), sid.decode(), int(generation)), reason.decode()
                self._early.say(lambda: self._ended(ended, int(code), how))
            case [b"out", node, user, sid, generation, room] if node == me:
                self._put_out(SessionKey(user.decode(), sid.decode(), int(generation)), room.decode())
            case [b"ask", asker, number, who, body] if self.listener is not None:
                wanted = who == b"*" or b" %s " % me in who
                self.listener.asked(body, self._answers.to(asker, number) if wanted else None)

    def answered(self, asker: int, number: int, node: bytes, body: bytes) -> None:
        self._surveys.heard(asker, number, node, body)

    def cast_heard(self, body: bytes) -> None:
        if self.listener is not None:
            self.listener.asked(body, None)

    def control_lost(self) -> None:
        self._revocations_behind = 0
        self._hear_revocations()
        self._verify(list(self.sessions))
        if self.listener is not None:
            self.listener.unsure()

    # What cleaning up after others tells

    @property
    def wants_lost(self) -> bool:
        return self.listener is not None and self.listener.wants_lost

    def lost(self, words: Sequence[Sequence[Any]]) -> None:
        """Sessions of a node that died, as ``reap`` names them."""
        if words and self.listener is not None:
            self.listener.lost([read_lost(one) for one in words])

    # What its parts need

    def _begin_anew(self) -> None:
        """This node is another incarnation now: nothing of what it had is counted any more."""
        self._known_as = self.incarnation
        self._owed.clear()
        if self.sessions:
            self.sessions.clear()
            if self.listener is not None:
                self.later(self.listener.fenced)

    def _hear_revocations(self) -> None:
        """Those that were there before this node listened; of what changes meanwhile it is told besides."""
        if self._revocations_behind is None:
            return

        def listed(page: Listed[Revocation] | Unavailable) -> None:
            if isinstance(page, Unavailable):
                return
            self._revocations_behind = page.behind
            for one in page.items:
                self.known.told(one.what, one.name, one.until_s, one.reason)
            if self.listener is not None:
                self.listener.learned(page.items)
            self._hear_revocations()

        self.list_revocations(self._revocations_behind, _REVOCATIONS_AT_ONCE, listed)

    def _end(self, key: SessionKey, reason: str) -> None:
        if key in self.sessions:
            del self.sessions[key]
            if self.listener is not None:
                self.listener.end(key, reason)

    def _ended(self, key: SessionKey, code: int, reason: str) -> None:
        if key in self.sessions:
            del self.sessions[key]
            if self.listener is not None:
                self.listener.ended(key, code, reason)

    def _put_out(self, key: SessionKey, room: str) -> None:
        """Where something of this session has no answer yet, which may be its join, it is found out behind that."""
        listener = self.listener
        if listener is None or key not in self._lines:
            if listener is not None:
                listener.put_out(key, room)
            return

        def told(is_out: bool | Unavailable) -> None:
            if isinstance(is_out, Unavailable):
                self._unsure.append((key, room))
            elif is_out:
                listener.put_out(key, room)
            self._answers.release()

        self._answers.hold()
        self.add_anyway(key, SimpleCall(script("not_in"), (*words_of(key), room), lambda answer: len(answer) > 1, told))

    def _verify(self, keys: Sequence[SessionKey]) -> None:
        some, others = keys[:_VERIFIED_AT_ONCE], keys[_VERIFIED_AT_ONCE:]
        if not some:
            return

        def told(answer: Any) -> None:
            if isinstance(answer, list):
                for at in answer:
                    self._end(some[at], EvictReason.REPLACED.value)
                self._verify(others)

        self.call(script("verify"), [word for key in some for word in words_of(key)], told)
