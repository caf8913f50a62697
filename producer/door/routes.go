package door

import (
	_ "embed"
	"mime"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"sluice/internal/daemon"
	"sluice/producer"
	"sluice/schemas"
)

// openAPI describes the door to clients.
//
//go:embed openapi.json
var openAPI []byte

func (s *server) routes(telemetry *daemon.Telemetry) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/v1/events", s.post(s.events))
	mux.Handle("/v1/tenants/{tenant}/events", s.post(s.events))
	mux.Handle("/v1/authentik", s.post(s.authentik))
	mux.HandleFunc("GET /openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(openAPI)
	})
	health := telemetry.Handler()
	mux.Handle("GET /livez", health)
	mux.Handle("GET /readyz", health)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		writeProblem(w, newProblem(http.StatusNotFound, "there are /v1/events, /v1/tenants/{tenant}/events, /v1/authentik and /openapi.json").closing())
	})
	return s.measured(mux)
}

// post is what all ways to publish have in common: method, token and tenant,
// judged before anything of the body is read.
func (s *server) post(handle func(http.ResponseWriter, *http.Request, *grant)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			writeProblem(w, newProblem(http.StatusMethodNotAllowed, "events are sent by POST").closing())
			return
		}
		g := find(*s.grants.Load(), token(r))
		if g == nil {
			writeProblem(w, newProblem(http.StatusUnauthorized, "send a known token: Authorization: Bearer TOKEN").closing())
			return
		}
		if tenant := r.PathValue("tenant"); tenant != "" && tenant != g.tenant {
			writeProblem(w, newProblem(http.StatusForbidden, "this token is of another tenant").about("tenant", "").closing())
			return
		}
		r = r.WithContext(producer.ContextWithTraceParent(r.Context(), r.Header.Get(schemas.HeaderTraceParent)))
		handle(w, r, g)
	})
}

// token is that of the Authorization header: Bearer, or the password of Basic,
// which is how a URL carries one (https://sluice:TOKEN@host/v1/authentik).
func token(r *http.Request) string {
	if _, password, ok := r.BasicAuth(); ok {
		return password
	}
	scheme, rest, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(rest)
}

// mediaType returns the type of the body without its parameters. Text that is
// not UTF-8 by its own word is refused.
func mediaType(r *http.Request, want ...string) (string, *problem) {
	media, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	charset := strings.ToLower(parameters["charset"])
	for _, m := range want {
		if err == nil && media == m && (charset == "" || charset == "utf-8") {
			return media, nil
		}
	}
	return "", newProblem(http.StatusUnsupportedMediaType, "Content-Type: want "+strings.Join(want, ", ")+", in UTF-8").
		about("content_type", "").closing()
}

// measured counts requests and their time. A defect ends one request, and is told
// of without what it was about, which may be a part of an event.
func (s *server) measured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began, seen := time.Now(), &statusWriter{ResponseWriter: w, status: http.StatusOK}
		func() {
			defer func() {
				if recover() != nil {
					s.log.Error("a defect of the door ended a request", "stack", string(debug.Stack()))
					writeProblem(seen, newProblem(http.StatusInternalServerError, "the event may be stored or not").closing())
				}
			}()
			next.ServeHTTP(seen, r)
		}()
		s.metrics.requests.WithLabelValues(strconv.Itoa(seen.status)).Inc()
		s.metrics.seconds.Observe(time.Since(began).Seconds())
	})
}

// statusWriter remembers the status.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}
