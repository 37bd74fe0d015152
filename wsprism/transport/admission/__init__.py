"""Who may come in, whatever they come by: plain values in, a session or a refusal out. It knows no request."""
