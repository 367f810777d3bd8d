"""What stands in FROM beside names: joins, functions, tables made of XML and JSON, samples.

Their columns go under names of their own, so that what is read through them may be any column.
"""

from __future__ import annotations

from hoopcore.sql.expressions import Expressions
from hoopcore.sql.grammar import Node, kind_of
from hoopcore.sql.literals import ANY


class Sources(Expressions):
    """The visits of what stands in FROM."""

    def join(self, join: Node) -> None:
        self.visit(join.larg)
        self.visit(join.rarg)
        self.columns.update(name.string.sval for name in join.using_clause)
        if join.using_clause or join.is_natural:
            self.operators.add("=")
            self.filters.update(name.string.sval for name in join.using_clause)
            if join.is_natural:
                self.filters.add(ANY)
        self.guises = self.guises or join.is_natural or bool(join.alias.colnames)
        if join.HasField("quals"):
            self.condition(join.quals)
        for alias in ("alias", "join_using_alias"):
            if join.HasField(alias):
                self.give_alias(getattr(join, alias))

    def range_function(self, source: Node) -> None:
        names: set[str] = set()
        for item in source.functions:  # a list: the call, and the columns it is said to give
            call = item.list.items[0]
            if kind_of(call) == "func_call":
                names.add(call.func_call.funcname[-1].string.sval)
            elif not source.HasField("alias"):  # CAST, COALESCE: named by rules of their own
                self.call(kind_of(call))
        columns = {column.column_def.colname for column in source.coldeflist} | names
        with self.unit(ANY), self.filtering():
            self.visit_all(source.functions)
            self.visit_all(source.coldeflist)
        self.flowing = self.given
        if source.HasField("alias"):
            self.give_alias(source.alias)
            columns |= {name.string.sval for name in source.alias.colnames}
            names = {source.alias.aliasname}
            columns |= names
        self.meetings.renamed |= columns
        for name in names:
            earlier = self.row_sources.get(name)
            self.row_sources[name] = frozenset(columns if earlier is None else earlier & columns)

    def table_function(self, source: Node) -> None:
        """XMLTABLE and JSON_TABLE: the columns they give have names of their own."""
        self.meetings.all_renamed = True
        with self.unit(ANY), self.filtering():
            self.children(source)
        self.flowing = self.given

    def table_sample(self, sample: Node) -> None:
        self.visit(sample.relation)
        method = [name.string.sval for name in sample.method]
        if method[-1] not in ("system", "bernoulli") or method[:-1] not in ([], ["pg_catalog"]):
            self.call(".".join(method))
        with self.unit():
            self.visit_all(sample.args)
            if sample.HasField("repeatable"):
                self.visit(sample.repeatable)
