// The users API on net/http and pgx, by hand.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v4"
	"github.com/jackc/pgx/v4/pgxpool"
)

const (
	columns = "id, username, email, first_name, last_name, age, is_active, created_at, updated_at"
	find    = "SELECT " + columns + " FROM users WHERE id = $1"
	page    = "SELECT " + columns + " FROM users WHERE id > $1 ORDER BY id LIMIT $2"
	add     = "INSERT INTO users (username, email, first_name, last_name, age)" +
		" VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING RETURNING " + columns
	named = "SELECT id FROM users WHERE username = $1"
	users = "/api/v1/users"
)

var pool *pgxpool.Pool

type httpDate time.Time

func (date httpDate) MarshalJSON() ([]byte, error) {
	quoted := make([]byte, 0, len(http.TimeFormat)+2)
	quoted = time.Time(date).UTC().AppendFormat(append(quoted, '"'), http.TimeFormat)
	return append(quoted, '"'), nil
}

// The fields of all answers are in the order of the alphabet.
type user struct {
	Age       *int32   `json:"age"`
	CreatedAt httpDate `json:"created_at"`
	Email     string   `json:"email"`
	FirstName *string  `json:"first_name"`
	ID        int64    `json:"id"`
	IsActive  bool     `json:"is_active"`
	LastName  *string  `json:"last_name"`
	UpdatedAt httpDate `json:"updated_at"`
	Username  string   `json:"username"`
}

type success struct {
	Data    any    `json:"data"`
	Message string `json:"message"`
	Success bool   `json:"success"`
}

type refusal struct {
	Errors  map[string]string `json:"errors,omitempty"`
	Message string            `json:"message"`
	Success bool              `json:"success"`
}

type newUser struct {
	Username  *string `json:"username"`
	Email     *string `json:"email"`
	FirstName *string `json:"first_name"`
	LastName  *string `json:"last_name"`
	Age       *int32  `json:"age"`
}

func scan(row pgx.Row) (found user, err error) {
	err = row.Scan(&found.ID, &found.Username, &found.Email, &found.FirstName, &found.LastName,
		&found.Age, &found.IsActive, (*time.Time)(&found.CreatedAt), (*time.Time)(&found.UpdatedAt))
	return found, err
}

func answer(w http.ResponseWriter, status int, content any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Access-Control-Allow-Origin", "*")
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(content); err != nil {
		log.Print(err)
	}
}

func refuse(w http.ResponseWriter, status int, message string) {
	answer(w, status, refusal{Message: message})
}

func refuseValues(w http.ResponseWriter, reasons map[string]string) {
	answer(w, 422, refusal{Errors: reasons, Message: "Validation failed"})
}

func fail(w http.ResponseWriter, err error) {
	log.Print(err)
	refuse(w, 500, "Internal server error")
}

func getUser(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseInt(strings.TrimPrefix(r.URL.Path, users+"/"), 10, 64)
	if err != nil {
		refuse(w, 404, "Endpoint not found")
		return
	}
	found, err := scan(pool.QueryRow(r.Context(), find, id))
	if errors.Is(err, pgx.ErrNoRows) {
		refuse(w, 404, "User not found")
	} else if err != nil {
		fail(w, err)
	} else {
		answer(w, 200, success{found, "Success", true})
	}
}

func listPage(w http.ResponseWriter, r *http.Request) {
	query, reasons := r.URL.Query(), map[string]string{}
	read := func(name string, otherwise, least, most int64) int64 {
		text := query.Get(name)
		if text == "" {
			return otherwise
		}
		value, err := strconv.ParseInt(text, 10, 64)
		switch {
		case err != nil:
			reasons[name] = "Must be an integer"
		case value < least:
			reasons[name] = fmt.Sprintf("Must be at least %d", least)
		case value > most:
			reasons[name] = fmt.Sprintf("Must be at most %d", most)
		}
		return value
	}
	limit, after := read("limit", 20, 1, 100), read("after", 0, 0, 1<<63-1)
	if len(reasons) > 0 {
		refuseValues(w, reasons)
		return
	}
	rows, err := pool.Query(r.Context(), page, after, limit+1)
	if err != nil {
		fail(w, err)
		return
	}
	defer rows.Close()
	found := make([]user, 0, limit+1)
	for rows.Next() {
		next, err := scan(rows)
		if err != nil {
			fail(w, err)
			return
		}
		found = append(found, next)
	}
	if rows.Err() != nil {
		fail(w, rows.Err())
		return
	}
	if int64(len(found)) > limit {
		found = found[:limit]
		last := found[limit-1].ID
		w.Header().Set("Link", fmt.Sprintf(`<%s/page?limit=%d&after=%d>; rel="next"`, users, limit, last))
	}
	answer(w, 200, success{found, "Success", true})
}

func createUser(w http.ResponseWriter, r *http.Request) {
	var body newUser
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		var mistyped *json.UnmarshalTypeError
		if !errors.As(err, &mistyped) {
			refuse(w, 400, "Request body is not valid JSON")
		} else if mistyped.Field == "age" {
			refuseValues(w, map[string]string{"age": "Must be an integer"})
		} else {
			refuseValues(w, map[string]string{mistyped.Field: "Must be a string"})
		}
		return
	}
	if body.Username == nil {
		refuse(w, 400, "Field 'username' is required")
		return
	}
	if body.Email == nil {
		refuse(w, 400, "Field 'email' is required")
		return
	}
	if reasons := body.tooLong(); len(reasons) > 0 {
		refuseValues(w, reasons)
		return
	}
	row := pool.QueryRow(r.Context(), add, body.Username, body.Email, body.FirstName, body.LastName, body.Age)
	created, err := scan(row)
	if errors.Is(err, pgx.ErrNoRows) {
		refuseTaken(w, r, *body.Username)
	} else if err != nil {
		fail(w, err)
	} else {
		answer(w, 201, success{created, "User created successfully", true})
	}
}

func (body newUser) tooLong() map[string]string {
	reasons := map[string]string{}
	for _, each := range []struct {
		name string
		text *string
		most int
	}{
		{"username", body.Username, 80}, {"email", body.Email, 120},
		{"first_name", body.FirstName, 50}, {"last_name", body.LastName, 50},
	} {
		if each.text != nil && utf8.RuneCountInString(*each.text) > each.most {
			reasons[each.name] = fmt.Sprintf("Must be at most %d characters", each.most)
		}
	}
	return reasons
}

func refuseTaken(w http.ResponseWriter, r *http.Request, username string) {
	var id int64
	err := pool.QueryRow(r.Context(), named, username).Scan(&id)
	if errors.Is(err, pgx.ErrNoRows) {
		refuse(w, 400, "Email already exists")
	} else if err != nil {
		fail(w, err)
	} else {
		refuse(w, 400, "Username already exists")
	}
}

func route(w http.ResponseWriter, r *http.Request) {
	switch path := r.URL.Path; {
	case path == "/api/v1/health" && r.Method == "GET":
		answer(w, 200, success{map[string]string{"status": "healthy"}, "Success", true})
	case path == "/api/v1/" && r.Method == "GET":
		answer(w, 200, success{map[string]string{"message": "Welcome to user-service"}, "Success", true})
	case path == users && r.Method == "POST":
		createUser(w, r)
	case path == users+"/page" && r.Method == "GET":
		listPage(w, r)
	case strings.HasPrefix(path, users+"/") && r.Method == "GET":
		getUser(w, r)
	default:
		refuse(w, 404, "Endpoint not found")
	}
}

func main() {
	config, err := pgxpool.ParseConfig(os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	if size, err := strconv.Atoi(os.Getenv("DB_POOL_SIZE")); err == nil {
		config.MaxConns = int32(size)
	}
	if pool, err = pgxpool.ConnectConfig(context.Background(), config); err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
	server := http.Server{
		Addr:    "127.0.0.1:" + os.Getenv("SERVICE_PORT"),
		Handler: http.HandlerFunc(route),
	}
	stopped, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	go func() {
		<-stopped.Done()
		server.Shutdown(context.Background())
	}()
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		log.Print(err)
	}
}
