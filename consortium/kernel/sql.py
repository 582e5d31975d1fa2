"""Migration operations for what the ORM cannot say: tenancy policies, state triggers, frozen and append-only rows.

Plain SQL on purpose: a trigger library whose ignore list any SQL session can set would not be a guard.
Each operation is written into a migration with literal values, so that a migration never changes with the code.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db.migrations.operations import RunSQL

APP_ROLE = "portal_app"


class _Sql(RunSQL):
    """Runs its SQL as one script: Django would split it at the semicolons inside function bodies."""

    def __init__(self, sql: str, reverse_sql: str) -> None:
        super().__init__([sql], [reverse_sql])


def _array(words: Sequence[str]) -> str:
    return "ARRAY[" + ", ".join(f"'{word}'" for word in words) + "]::text[]"


class TenantPolicy(_Sql):
    """Row-level security: a row is visible when its institution is the session's, or inside a named scope.

    `shared` lets everybody read rows without an institution (reference data beside tenants' rows); writing one
    still needs a scope.
    """

    def __init__(self, table: str, column: str = "institution_id", *, shared: bool = False) -> None:
        self.table, self.column, self.shared = table, column, shared
        own = (
            "(SELECT coalesce(current_setting('portal.scope', true), '') <> '')"
            f" OR {column} = (SELECT nullif(current_setting('portal.institution', true), '')::uuid)"
        )
        visible = f"{own} OR {column} IS NULL" if shared else own
        super().__init__(
            f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;"
            f"CREATE POLICY tenant ON {table} TO {APP_ROLE} USING ({visible}) WITH CHECK ({own});",
            f"DROP POLICY tenant ON {table}; ALTER TABLE {table} DISABLE ROW LEVEL SECURITY;",
        )

    def deconstruct(self) -> Any:
        """Name the operation by its own arguments."""
        return (type(self).__name__, [self.table, self.column], {"shared": self.shared})


class StateTrigger(_Sql):
    """A CHECK on the values of a state column and a trigger that refuses every move the table does not have."""

    def __init__(self, machine: str, table: str, column: str, moves: Mapping[str, Sequence[str]]) -> None:
        self.machine, self.table, self.column, self.moves = (
            machine,
            table,
            column,
            {k: list(v) for k, v in moves.items()},
        )
        name = f"{table}_{column}"
        initial = next(iter(moves))
        arms = " ".join(f"WHEN '{was}' THEN NEW.{column} = ANY({_array(to)})" for was, to in self.moves.items())
        super().__init__(
            f"""
            ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name}_known;
            ALTER TABLE {table} ADD CONSTRAINT {name}_known CHECK ({column} = ANY({_array(list(moves))}));
            CREATE OR REPLACE FUNCTION {name}_moves() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF TG_OP = 'INSERT' THEN
                    IF NEW.{column} <> '{initial}' THEN
                        RAISE EXCEPTION '{machine}: a new row begins as {initial}, not as %', NEW.{column}
                            USING ERRCODE = 'check_violation';
                    END IF;
                ELSIF NEW.{column} <> OLD.{column} AND NOT (CASE OLD.{column} {arms} ELSE false END) THEN
                    RAISE EXCEPTION '{machine}: % may not become %', OLD.{column}, NEW.{column}
                        USING ERRCODE = 'check_violation';
                END IF;
                RETURN NEW;
            END $$;
            DROP TRIGGER IF EXISTS {name}_moves ON {table};
            CREATE TRIGGER {name}_moves BEFORE INSERT OR UPDATE ON {table}
                FOR EACH ROW EXECUTE FUNCTION {name}_moves();
            """,
            f"DROP TRIGGER {name}_moves ON {table}; DROP FUNCTION {name}_moves();"
            f"ALTER TABLE {table} DROP CONSTRAINT {name}_known;",
        )

    def deconstruct(self) -> Any:
        """Name the operation by its own arguments."""
        return (type(self).__name__, [self.machine, self.table, self.column, self.moves], {})


class AppendOnly(_Sql):
    """Rows are written once: UPDATE, DELETE and TRUNCATE are refused to every role."""

    def __init__(self, table: str) -> None:
        self.table = table
        super().__init__(
            f"""
            CREATE OR REPLACE FUNCTION portal_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP
                    USING ERRCODE = 'restrict_violation';
            END $$;
            CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table}
                FOR EACH ROW EXECUTE FUNCTION portal_refuse_change();
            CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table}
                FOR EACH STATEMENT EXECUTE FUNCTION portal_refuse_change();
            """,
            f"DROP TRIGGER {table}_append_only ON {table}; DROP TRIGGER {table}_no_truncate ON {table};",
        )

    def deconstruct(self) -> Any:
        """Name the operation by its own arguments."""
        return (type(self).__name__, [self.table], {})


class FrozenAfter(_Sql):
    """Once `column` is outside `open_values` only `movable` columns may change, and the row may not be deleted."""

    def __init__(self, table: str, column: str, open_values: Sequence[str], movable: Sequence[str]) -> None:
        self.table, self.column, self.open_values, self.movable = table, column, list(open_values), list(movable)
        kept = " - ".join(["to_jsonb({})", *(f"'{name}'" for name in movable)])
        super().__init__(
            f"""
            CREATE OR REPLACE FUNCTION {table}_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF OLD.{column} = ANY({_array(open_values)}) THEN
                    RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
                END IF;
                IF TG_OP = 'DELETE' OR ({kept.format("NEW")}) <> ({kept.format("OLD")}) THEN
                    RAISE EXCEPTION '{table} % is frozen since it is %: % is refused', OLD.id, OLD.{column}, TG_OP
                        USING ERRCODE = 'restrict_violation';
                END IF;
                RETURN NEW;
            END $$;
            CREATE TRIGGER {table}_frozen BEFORE UPDATE OR DELETE ON {table}
                FOR EACH ROW EXECUTE FUNCTION {table}_frozen();
            """,
            f"DROP TRIGGER {table}_frozen ON {table}; DROP FUNCTION {table}_frozen();",
        )

    def deconstruct(self) -> Any:
        """Name the operation by its own arguments."""
        return (type(self).__name__, [self.table, self.column, self.open_values, self.movable], {})


class FrozenWithParent(_Sql):
    """Rows of `table` may be written only while their parent's `parent_column` is one of `open_values`."""

    def __init__(
        self, table: str, foreign_key: str, parent: str, parent_column: str, open_values: Sequence[str]
    ) -> None:
        self.arguments = [table, foreign_key, parent, parent_column, list(open_values)]
        super().__init__(
            f"""
            CREATE OR REPLACE FUNCTION {table}_frozen() RETURNS trigger LANGUAGE plpgsql
                SECURITY DEFINER SET search_path = public AS $$
            DECLARE
                parent_key uuid;
                parent_state text;
            BEGIN
                -- Both the parent that it leaves and the one that it goes to must be open.
                FOREACH parent_key IN ARRAY CASE TG_OP
                    WHEN 'INSERT' THEN ARRAY[NEW.{foreign_key}]
                    WHEN 'DELETE' THEN ARRAY[OLD.{foreign_key}]
                    ELSE ARRAY[OLD.{foreign_key}, NEW.{foreign_key}] END
                LOOP
                    SELECT {parent_column} INTO parent_state FROM {parent} WHERE id = parent_key FOR SHARE;
                    IF parent_state IS NULL OR NOT parent_state = ANY({_array(open_values)}) THEN
                        RAISE EXCEPTION '{table}: the {parent} it belongs to is %, so % is refused',
                            coalesce(parent_state, 'unknown'), TG_OP USING ERRCODE = 'restrict_violation';
                    END IF;
                END LOOP;
                RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
            END $$;
            CREATE TRIGGER {table}_frozen BEFORE INSERT OR UPDATE OR DELETE ON {table}
                FOR EACH ROW EXECUTE FUNCTION {table}_frozen();
            """,
            f"DROP TRIGGER {table}_frozen ON {table}; DROP FUNCTION {table}_frozen();",
        )

    def deconstruct(self) -> Any:
        """Name the operation by its own arguments."""
        return (type(self).__name__, self.arguments, {})
