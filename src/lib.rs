//! Sells HLS video on nginx.
