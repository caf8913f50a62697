package redact

import (
	"strings"
	"testing"
)

// TestSQL has statements, and what is logged with them, with the secrets in them
// marked «so».
func TestSQL(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ text, rules string }{
		// The columns of an INSERT.
		{`INSERT INTO users (name, password, age) VALUES ('bob', '«hunter2»', 42)`, "sql"},
		{`INSERT INTO "auth_user" ("password", "last_login", "email") VALUES ('«it''s, me»', NULL, 'bob@x.example') RETURNING "id"`, "sql"},
		{"insert into `t`(`id`,`api_key`) values(1,'«abc»'),(2,'«d)e»')", "sql"},
		{`INSERT INTO s.users (id, pin_code) VALUES (7, «1234»)`, "sql"},
		{`INSERT INTO users (name, password) VALUES ('bob', crypt('«hunter2»', gen_salt('bf')))`, "sql"},
		{`INSERT INTO users (name, password) VALUES ('bob', E'«hun\'ter»')`, "sql"},
		{`INSERT INTO users (name, password) VALUES ('bob', '«hunt`, "sql"},
		{`REPLACE INTO users (password) VALUES (N'«x y»')`, "sql"},
		{`INSERT INTO users (name, password) VALUES ('bob', NULL), ('eve', DEFAULT)`, ""},
		{`INSERT INTO users (name, password) VALUES (%s, %s)`, ""},
		{`INSERT INTO users (name, password) VALUES (:name, :password)`, ""},
		{`INSERT INTO users (name, password_change_date) VALUES ('bob', '2024-01-01')`, ""},
		{`INSERT INTO users VALUES ('bob', 'hunter2')`, ""},
		{`he put it into users (name, password) and values (yes, indeed)`, ""},
		// Parameters of a statement, told by their place.
		{`[SQL: INSERT INTO users (name, password) VALUES (?, ?)] [parameters: ('bob', '«hunter2»')]`, "sql"},
		{`[SQL: INSERT INTO users (name, password) VALUES (?, ?)]` + "\n" + `[parameters: [('bob', '«hunter2»'), ('eve', '«swordfish»')]]`, "sql"},
		{`(0.001) UPDATE "auth_user" SET "password" = %s, "age" = %s WHERE "id" = %s; args=('«hunter2»', 42, 5)`, "sql"},
		{`SELECT * FROM token WHERE token = $1 AND user_id = $2, parameters: $1 = '«abc»', $2 = '7'`, "sql"},
		{`INSERT INTO users (id, name, password) VALUES (DEFAULT, ?, ?) params: ["bob","«hunter2»"]`, "sql"},
		{`INSERT INTO users (name, password) VALUES ($2, $1) parameters: ['«hunter2»', 'bob']`, "sql"},
		{`SELECT * FROM users WHERE name = ? [parameters: ('bob',)]`, ""},
		{`def f(*args): parameters: (1, 2)`, ""},
		// Users.
		{`CREATE USER bob IDENTIFIED BY «tiger»`, "sql"},
		{`alter user bob identified by «tiger» account unlock`, "sql"},
		{`CREATE USER x IDENTIFIED WITH sha256_password BY '«a»'`, "sql"},
		{`the problem was identified by support`, ""},
		{`create user tickets are identified by number`, ""},
	} {
		t.Run(test.text, func(t *testing.T) {
			t.Parallel()
			checkText(t, test.text, test.rules)
		})
	}
}

// TestByPlace has lines of formats in which a secret is told by its place, and
// hashes of passwords.
func TestByPlace(t *testing.T) {
	t.Parallel()
	const salt = "abcdefghij0123456789AB"
	for _, test := range []struct{ text, rules string }{
		{`db.internal:5432:app:bob:«hunter2»`, "password_file"},
		{"*:*:*:bob:x\nlocalhost:5432:*:postgres:«p\\:w»", "password_file"},
		{`connect to db.internal:5432: connection refused`, ""},
		{`dial tcp 10.0.0.5:5432: connect: connection refused`, ""},
		{`10.0.0.5:5432:app:bob: no such user`, ""},
		{`variable "db_password" { default = "«hunter2»" }`, "assignment"},
		{"variable \"db_password\" {\n  type = string\n  default = \"«hunter2»\"\n}", "assignment"},
		{`variable "region" { default = "eu-central-1" }`, ""},
		// Hashes of passwords.
		{`bob:«$2y$10$` + salt + strings.Repeat("k", 31) + `»`, "password_hash"},
		{`hash «$2b$12$` + strings.Repeat("aB3./", 10) + `xyz»`, "password_hash"},
		{`row (1, bob, «pbkdf2_sha256$870000$` + salt + `$` + strings.Repeat("aB3+/", 8) + `xyz=»)`, "password_hash"},
		{`«$argon2id$v=19$m=65536,t=3,p=4$` + salt + `$` + strings.Repeat("aB3+/", 8) + `xyz»`, "password_hash"},
		{`«argon2$argon2id$v=19$m=102400,t=2,p=8$` + salt + `$` + strings.Repeat("aB3+/", 8) + `xyz»`, "password_hash"},
		{`root:«$6$` + salt[:16] + `$` + strings.Repeat("aB3./", 17) + `x»:19000:0:99999:7:::`, "password_hash"},
		{`bob:«$apr1$` + salt[:8] + `$` + salt + `»`, "password_hash"},
		{`bob:«{SSHA}` + strings.Repeat("aB3+/", 6) + `xy==»`, "password_hash"},
		{`cost $2 for 10$ each`, ""},
		{`pbkdf2_sha256 with 870000 rounds`, ""},
		{`$argon2id$ is the scheme`, ""},
	} {
		t.Run(test.text, func(t *testing.T) {
			t.Parallel()
			checkText(t, test.text, test.rules)
		})
	}
}
